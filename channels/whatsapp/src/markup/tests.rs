use proptest::prelude::*;

use super::*;

#[test]
fn each_mark_becomes_whatsapps_own() {
    let table = [
        ("plain", "plain"),
        ("**bold** and __bold__", "*bold* and *bold*"),
        ("*italic* and _italic_", "_italic_ and _italic_"),
        ("***both***", "*_both_*"),
        ("~~gone~~", "~gone~"),
        ("`code * not _ bold`", "`code * not _ bold`"),
        ("``a ` b``", "```a ` b```"),
        ("**bold with *italic* in it**", "*bold with _italic_ in it*"),
        ("**a *b***", "*a _b_*"),
        ("# Title", "*Title*"),
        ("### **Title** ###", "*Title*"),
        ("#hashtag", "#hashtag"),
        ("####### seven", "####### seven"),
        ("* one\n+ two\n- three", "- one\n- two\n- three"),
        ("  * inner", "  - inner"),
        ("1. first\n2. second", "1. first\n2. second"),
        ("- [ ] open\n- [x] done", "- ☐ open\n- ☑ done"),
        ("> quoted **bold**", "> quoted *bold*"),
        (">> twice", "> > twice"),
        ("[the page](https://a.example/x_y)", "the page (https://a.example/x_y)"),
        ("[https://a.example](https://a.example)", "https://a.example"),
        ("[a](https://b.example/c_(d) \"title\")", "a (https://b.example/c_(d))"),
        ("![a picture](https://a.example/p.png)", "a picture (https://a.example/p.png)"),
        ("<https://a.example/_x_>", "https://a.example/_x_"),
        ("<me@a.example>", "<me@a.example>"),
        ("see https://a.example/a_b_c, **now**", "see https://a.example/a_b_c, *now*"),
        ("[no link]", "[no link]"),
        ("[^1] and a[0](x)", "[^1] and a0 (x)"),
        ("snake_case_name and 2*3*4", "snake_case_name and 2*3*4"),
        ("a * b * c", "a * b * c"),
        ("\\*not bold\\*", "*not bold*"),
        ("C:\\dir", "C:\\dir"),
        ("---", "———"),
        ("***", "———"),
        ("**unclosed", "**unclosed"),
        ("```rust\nlet a = **b;\n```", "```\nlet a = **b;\n```"),
        ("~~~\n# no heading\n~~~", "```\n# no heading\n```"),
        ("````\n```\n````", "```\n```\n```"),
        ("```\nnever closed", "```\nnever closed\n```"),
        ("**Grüße, 世界**!", "*Grüße, 世界*!"),
        ("**a** **b**", "*a* *b*"),
        ("a\n\nb", "a\n\nb"),
        ("", ""),
    ];
    for (markdown, expected) in table {
        assert_eq!(to_whatsapp(markdown), expected, "{markdown:?}");
    }
}

proptest! {
    #[test]
    fn any_text_becomes_one_of_like_size(text in "(\\PC|[*_~`\\[\\]()#>\\\\\n -]){0,400}") {
        let shown = to_whatsapp(&text);
        prop_assert!(shown.len() <= text.len() * 3 + 8, "{} -> {}", text.len(), shown.len());
    }

    #[test]
    fn a_text_without_marks_is_unchanged(text in "[a-zA-Z0-9äöü ,.?!\n]{0,200}") {
        let text = text.trim_end_matches('\n');
        prop_assert_eq!(to_whatsapp(text), text);
    }
}

#[test]
fn a_hostile_line_is_bounded_work() {
    // Were the search for an end not bounded, these would take minutes.
    for hostile in ["*a ", "[", "`` ", "_x*", "[a](", "<"] {
        let line = hostile.repeat(5_000);
        assert!(to_whatsapp(&line).len() <= line.len() * 2, "{hostile}");
    }
}
