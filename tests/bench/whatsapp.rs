//! The WhatsApp adapter, on a server of this machine. It is of another workspace, whose own program measures it.

use std::collections::HashMap;
use std::process::Command;

use anyhow::{Context, ensure};
use longshore_tests::Installation;
use longshore_tests::installation::beside;
use serde::Deserialize;

use crate::table::{Row, Samples, Table};

/// A line of that program.
#[derive(Deserialize)]
struct Figure {
    figure: String,
    samples: Vec<f64>,
}

pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    let installation = Installation::new();
    let output = Command::new(beside("examples/whatsapp-figures"))
        .arg(installation.root())
        .arg(beside("longshore-stub-host"))
        .output()?;
    ensure!(output.status.success(), "whatsapp: {}", String::from_utf8_lossy(&output.stderr).trim());
    let mut figures = HashMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let Figure { figure, samples } = serde_json::from_str(line)?;
        figures.insert(figure, Samples::of(samples));
    }
    let figure = |name: &str| figures.get(name).with_context(|| format!("whatsapp: no figure `{name}`"));

    let start = figure("start")?;
    table.push(Row::figure("whatsapp: start to connected", start, "ms", Some(("p50 <= 500", start.p50() <= 500.0))));
    let (floor, reply) = (figure("floor")?, figure("reply")?);
    table.push(Row::figure("whatsapp: said to read, a bare client's answer", floor, "ms", None));
    table.push(Row::figure("whatsapp: said to read, our stub's answer", reply, "ms", None));
    let added = reply.p50() - floor.p50();
    table.push(Row::single("whatsapp: added by adapter and host", added, "ms", Some(("p50 <= 30", added <= 30.0))));
    let memory = figure("memory")?.p50();
    table.push(Row::single("whatsapp: memory after 200 answers (RSS)", memory, "MiB", Some(("<= 40", memory <= 40.0))));
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let size = beside("longshore-whatsapp").metadata()?.len() as f64 / (1024.0 * 1024.0);
    table.push(Row::single("whatsapp: the adapter's program, stripped", size, "MiB", None));
    Ok(())
}
