//! Everything that the host counts, as one text: pure.

use jiff::Timestamp;
use longshore_protocol::{GroupId, ProviderKind};

use super::text::{Kind, Text};
use super::{Denied, Metrics, SendFailure, TurnOutcome, get, number};
use crate::broker::egress::Counts as Egress;
use crate::usage::Amount;

/// What the text's media type is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is looked at when the text is made.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The host's release.
    pub version: String,
    /// When it became ready.
    pub started: Timestamp,
    /// How long that is ago, in seconds.
    pub uptime_seconds: u64,
    /// Its own process's memory.
    pub resident_bytes: Option<u64>,
    /// How many groups may run at once.
    pub slots: u64,
    /// Messages that wait to be sent and that were given up.
    pub outbox: (u64, u64),
    /// Tasks that run when their time comes, and that are kept and do not.
    pub tasks: (u64, u64),
    /// Petitions that were granted, refused and could not be read.
    pub petitions: [u64; 3],
    /// Whether the database's last check found it sound; none before the first.
    pub database_sound: Option<bool>,
    /// The channels, and whether each is up.
    pub channels: Vec<(String, bool)>,
    /// The groups of the groups file.
    pub groups: Vec<ObservedGroup>,
}

/// A group of the groups file.
#[derive(Debug, Clone)]
pub struct ObservedGroup {
    /// It.
    pub id: GroupId,
    /// What its tools did with the way out.
    pub egress: Egress,
    /// What it has used today.
    pub used_today: Amount,
    /// Its container, if it has one: whether a turn has it, and its memory.
    pub resident: Option<(bool, Option<u64>)>,
}

/// The text.
#[must_use]
pub fn exposition(metrics: &Metrics, seen: &Observed) -> String {
    let mut text = Text::default();
    host(&mut text, seen);
    turns(&mut text, metrics);
    queue(&mut text, metrics, seen);
    delivery(&mut text, metrics, seen);
    tasks(&mut text, metrics, seen);
    models(&mut text, metrics);
    groups(&mut text, &seen.groups);
    text.end()
}

fn host(text: &mut Text, seen: &Observed) {
    text.family("longshore_build_info", Kind::Gauge, "The host's release.");
    text.value("longshore_build_info", &[("version", &seen.version)], 1);
    text.single("longshore_uptime_seconds", Kind::Gauge, "Since when the host is ready.", seen.uptime_seconds);
    text.single("process_start_time_seconds", Kind::Gauge, "When the host became ready.", seen.started.as_second());
    if let Some(bytes) = seen.resident_bytes {
        text.single("process_resident_memory_bytes", Kind::Gauge, "Memory of the host's own process.", bytes);
    }
    if let Some(sound) = seen.database_sound {
        let help = "Whether the database was sound when it was checked last.";
        text.single("longshore_database_sound", Kind::Gauge, help, u8::from(sound));
    }
    text.family("longshore_channel_up", Kind::Gauge, "Whether a channel's link to its platform is up.");
    for (name, up) in &seen.channels {
        text.value("longshore_channel_up", &[("channel", name)], u8::from(*up));
    }
}

fn turns(text: &mut Text, Metrics(counts): &Metrics) {
    text.family("longshore_turns_total", Kind::Counter, "Attempts at turns that are over, by how they ended.");
    for provider in ProviderKind::ALL {
        for (outcome, name) in TurnOutcome::ALL {
            let labels = [("provider", provider.as_str()), ("outcome", name)];
            text.value("longshore_turns_total", &labels, get(&counts.turns[number(provider)][outcome as usize]));
        }
    }
    text.family(
        "longshore_turn_failures_total",
        Kind::Counter,
        "Attempts at turns that failed, by the failure's code.",
    );
    for (code, count) in counts.failures.counted() {
        text.value("longshore_turn_failures_total", &[("code", &code)], count);
    }
    let help = "From a message's row, or a task's firing, to the beginning of its turn.";
    text.histograms("longshore_turn_wait_seconds", help, [(Vec::new(), &counts.wait)]);
    let by_provider = |provider: ProviderKind| vec![("provider", provider.as_str())];
    let all = ProviderKind::ALL.map(|provider| (by_provider(provider), &counts.duration[number(provider)]));
    text.histograms("longshore_turn_duration_seconds", "How long attempts took that reached a container.", all);
    let all = ProviderKind::ALL.map(|provider| (by_provider(provider), &counts.first_text[number(provider)]));
    text.histograms("longshore_turn_first_text_seconds", "From an attempt's beginning to its first text.", all);
}

fn queue(text: &mut Text, metrics: &Metrics, seen: &Observed) {
    let (running, waiting) = metrics.queued();
    text.single("longshore_queue_running", Kind::Gauge, "Groups that have a slot.", running);
    text.single("longshore_queue_waiting", Kind::Gauge, "Groups that wait for a slot.", waiting);
    text.single("longshore_queue_slots", Kind::Gauge, "How many groups may run at once.", seen.slots);
    text.family("longshore_residents", Kind::Gauge, "Containers, by whether a turn has them.");
    for (name, state) in [("busy", true), ("warm", false)] {
        let of_state = |group: &&ObservedGroup| group.resident.is_some_and(|(busy, _)| busy == state);
        text.value("longshore_residents", &[("state", name)], seen.groups.iter().filter(of_state).count());
    }
}

fn delivery(text: &mut Text, Metrics(counts): &Metrics, seen: &Observed) {
    let (pending, dead) = seen.outbox;
    text.single("longshore_outbox_pending", Kind::Gauge, "Messages that wait to be sent.", pending);
    text.single("longshore_outbox_dead", Kind::Gauge, "Messages that were given up and are kept.", dead);
    text.single("longshore_messages_sent_total", Kind::Counter, "Messages that platforms took.", get(&counts.sent));
    text.family("longshore_send_failures_total", Kind::Counter, "Tries at which a platform took no message.");
    for (failure, name) in SendFailure::ALL {
        text.value("longshore_send_failures_total", &[("kind", name)], get(&counts.not_sent[failure as usize]));
    }
    let help = "From a text's row to the platform that took it.";
    text.histograms("longshore_delivery_seconds", help, [(Vec::new(), &counts.delivery)]);
}

fn tasks(text: &mut Text, Metrics(counts): &Metrics, seen: &Observed) {
    text.family("longshore_tasks", Kind::Gauge, "Tasks by status.");
    for (name, count) in [("active", seen.tasks.0), ("paused", seen.tasks.1)] {
        text.value("longshore_tasks", &[("status", name)], count);
    }
    let help = "By how much later than due tasks were fired.";
    text.histograms("longshore_task_lateness_seconds", help, [(Vec::new(), &counts.lateness)]);
    text.family("longshore_petitions_total", Kind::Counter, "Files that agents dropped, by their answer.");
    for (name, count) in ["granted", "refused", "unreadable"].into_iter().zip(seen.petitions) {
        text.value("longshore_petitions_total", &[("answer", name)], count);
    }
}

fn models(text: &mut Text, Metrics(counts): &Metrics) {
    let all = || ProviderKind::ALL.into_iter().map(|provider| (provider.as_str(), &counts.upstream[number(provider)]));
    text.family("longshore_broker_requests_total", Kind::Counter, "Requests sent on to a provider's API.");
    for (provider, upstream) in all() {
        text.value("longshore_broker_requests_total", &[("provider", provider)], get(&upstream.requests));
    }
    text.family(
        "longshore_broker_bytes_total",
        Kind::Counter,
        "Bytes of requests to a provider's API and of its answers.",
    );
    for (provider, upstream) in all() {
        for (direction, bytes) in [("out", &upstream.sent_bytes), ("in", &upstream.received_bytes)] {
            text.value("longshore_broker_bytes_total", &[("provider", provider), ("direction", direction)], get(bytes));
        }
    }
    text.family("longshore_broker_denials_total", Kind::Counter, "Requests that were not sent on or not answered.");
    for (denied, reason) in Denied::ALL {
        text.value("longshore_broker_denials_total", &[("reason", reason)], get(&counts.denied[denied as usize]));
    }
    text.family("longshore_usage_answers_total", Kind::Counter, "Answers of models that the operator pays for.");
    for (provider, upstream) in all() {
        text.value("longshore_usage_answers_total", &[("provider", provider)], get(&upstream.answers));
    }
    text.family("longshore_usage_tokens_total", Kind::Counter, "Tokens, by what they are charged as.");
    for (provider, upstream) in all() {
        let kinds = ["input", "cache_write", "cached_input", "output"];
        for (kind, tokens) in kinds.into_iter().zip(&upstream.tokens) {
            text.value("longshore_usage_tokens_total", &[("provider", provider), ("kind", kind)], get(tokens));
        }
    }
    let help = "What answers cost in US dollars, as far as their price is known.";
    text.family("longshore_usage_cost_usd_total", Kind::Counter, help);
    for (provider, upstream) in all() {
        text.value("longshore_usage_cost_usd_total", &[("provider", provider)], usd(get(&upstream.nano_usd)));
    }
    text.family("longshore_usage_unpriced_total", Kind::Counter, "Answers of models without a price.");
    for (provider, upstream) in all() {
        text.value("longshore_usage_unpriced_total", &[("provider", provider)], get(&upstream.unpriced));
    }
}

fn groups(text: &mut Text, groups: &[ObservedGroup]) {
    let mut family = |name: &str, kind, help: &str, of: &dyn Fn(&ObservedGroup) -> Option<f64>| {
        text.family(name, kind, help);
        for group in groups {
            if let Some(value) = of(group) {
                text.value(name, &[("group", group.id.as_str())], value);
            }
        }
    };
    let memory = |group: &ObservedGroup| group.resident.and_then(|(_, bytes)| bytes).map(|bytes| bytes as f64);
    family("longshore_resident_memory_bytes", Kind::Gauge, "Memory of a group's container.", &memory);
    let of = |group: &ObservedGroup| Some(group.egress.connections as f64);
    family("longshore_egress_connections_total", Kind::Counter, "Connections of a group's tools.", &of);
    let of = |group: &ObservedGroup| Some(group.egress.refused as f64);
    family("longshore_egress_refused_total", Kind::Counter, "Requests of a group's tools that were not allowed.", &of);
    let of = |group: &ObservedGroup| Some(group.egress.bytes as f64);
    family("longshore_egress_bytes_total", Kind::Counter, "Bytes of a group's tools, both ways.", &of);
    let of = |group: &ObservedGroup| Some(group.used_today.tokens.all() as f64);
    family("longshore_group_tokens_today", Kind::Gauge, "Tokens that a group has used today.", &of);
    let of = |group: &ObservedGroup| Some(usd(group.used_today.nano_usd));
    family("longshore_group_cost_usd_today", Kind::Gauge, "What a group has cost today, as far as it is known.", &of);
}

fn usd(nano_usd: u64) -> f64 {
    nano_usd as f64 / 1e9
}
