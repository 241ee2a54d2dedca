//! A QR code, for a terminal and as a picture.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::Context as _;
use qrcode::{Color, EcLevel, QrCode};

/// The bright margin that scanners need, in modules.
const MARGIN: usize = 4;
/// How large a module is in a picture, in pixels.
const PIXELS: usize = 8;

/// The modules with their margin: whether each is dark.
struct Modules {
    width: usize,
    dark: Vec<bool>,
}

impl Modules {
    fn new(text: &str) -> anyhow::Result<Self> {
        // The lowest level: it is read from a clean screen, and has to fit into one.
        let code = QrCode::with_error_correction_level(text, EcLevel::L).context("the code cannot be drawn")?;
        let (inner, colors) = (code.width(), code.to_colors());
        let width = inner + 2 * MARGIN;
        let dark = (0..width * width)
            .map(|index| {
                let (x, y) = ((index % width).wrapping_sub(MARGIN), (index / width).wrapping_sub(MARGIN));
                x < inner && y < inner && colors[y * inner + x] == Color::Dark
            })
            .collect();
        Ok(Self { width, dark })
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        self.dark.get(y * self.width + x).copied().unwrap_or(false)
    }
}

/// The code in half blocks, two modules above each other in each. Bright is what is printed: most terminals
/// are dark.
pub(super) fn terminal(text: &str) -> anyhow::Result<String> {
    let modules = Modules::new(text)?;
    let mut shown = String::new();
    for y in (0..modules.width).step_by(2) {
        for x in 0..modules.width {
            shown.push(match (modules.is_dark(x, y), modules.is_dark(x, y + 1)) {
                (false, false) => '█',
                (false, true) => '▀',
                (true, false) => '▄',
                (true, true) => ' ',
            });
        }
        shown.push('\n');
    }
    Ok(shown)
}

/// Writes the code as a picture.
pub(super) fn png(text: &str, path: &Path) -> anyhow::Result<()> {
    let modules = Modules::new(text)?;
    let side = modules.width * PIXELS;
    let pixels: Vec<u8> = (0..side * side)
        .map(|index| if modules.is_dark(index % side / PIXELS, index / side / PIXELS) { 0 } else { 255 })
        .collect();
    // A viewer that looks at the file while it is written anew must not see half of it.
    let new = path.with_extension("png.new");
    let side = u32::try_from(side)?;
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(&new)?), side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    std::fs::rename(new, path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_and_the_picture_show_the_same_code() {
        let text = "2@reference,key,identity,secret";
        let modules = Modules::new(text).unwrap();
        let shown = terminal(text).unwrap();
        let lines: Vec<Vec<char>> = shown.lines().map(|line| line.chars().collect()).collect();
        assert_eq!((lines.len(), lines[0].len()), (modules.width.div_ceil(2), modules.width));
        // The margin, then the finder's corner, dark above dark.
        assert_eq!((lines[0][0], lines[2][MARGIN]), ('█', ' '));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("code.png");
        png(text, &path).unwrap();
        let mut reader = png::Decoder::new(std::io::BufReader::new(File::open(&path).unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let side = modules.width * PIXELS;
        for y in 0..modules.width {
            for x in 0..modules.width {
                let pixel = pixels[(y * PIXELS + PIXELS / 2) * side + x * PIXELS + PIXELS / 2];
                assert_eq!(pixel == 0, modules.is_dark(x, y), "{x}, {y}");
                let block = lines[y / 2][x];
                let dark = match block {
                    ' ' => true,
                    '▀' => y % 2 == 1,
                    '▄' => y % 2 == 0,
                    _ => false,
                };
                assert_eq!(dark, modules.is_dark(x, y), "{x}, {y}");
            }
        }
    }

    #[test]
    fn a_text_that_fits_into_no_code_is_refused() {
        assert!(terminal(&"x".repeat(10_000)).is_err());
    }
}
