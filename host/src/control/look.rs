//! What the control socket says of the host: as status, and as metrics.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use longshore_protocol::GroupId;

use super::activity::{Activity, HostState, Queue, ResidentState, ResidentStatus, second};
use super::server::Control;
use super::{ChannelGap, ChannelStatus, Egress, GroupStatus, Petitions, Status, UsedToday};
use crate::broker::egress::Counts;
use crate::container::resident::Seen;
use crate::deliver::Link;
use crate::groups::Group;
use crate::groups::watch::Snapshot;
use crate::metrics::exposition::{Observed, ObservedGroup, exposition};
use crate::metrics::memory::resident_bytes;
use crate::store::glance::{Glance, Glanced, glance};
use crate::usage::Amount;

/// How long the engine may take to say that it is there.
const PING: Duration = Duration::from_secs(3);
/// How long all containers together may take to say what memory they take.
const MEMORY: Duration = Duration::from_secs(1);

impl Control {
    /// How the host is.
    pub(super) async fn status(&self) -> Status {
        let snapshot = self.groups.borrow().clone();
        let (engine, residents, refused_mounts, looked, cli_updates) = tokio::join!(
            tokio::time::timeout(PING, self.runtime.ping()),
            self.residents.seen(MEMORY),
            self.residents.refused_mounts(),
            self.glance(&snapshot),
            self.news.newer(),
        );
        let (glance, notes) = match looked {
            Ok(glance) => (glance, Vec::new()),
            Err(problem) => (Glance::default(), vec![problem]),
        };
        let residents: HashMap<GroupId, Seen> = residents.into_iter().map(|seen| (seen.group.clone(), seen)).collect();
        let now = self.clock.now();
        let mut rows = glance.groups.iter();
        let groups = snapshot.groups.iter().map(|group| {
            let status = GroupStatus {
                egress: egress(group, self.residents.egress_counts(&group.id)),
                used_today: Some(self.used_today(&group.id)),
                ..GroupStatus::of(group, &snapshot.problems, &self.assistant)
            };
            let status = status.with_resident(residents.get(&group.id));
            match rows.next() {
                Some(rows) => status.with_rows(rows, HostState::Running, now),
                None => status,
            }
        });
        let groups = groups.collect();
        let counts = self.tasks.mailroom.counts();
        let (running, waiting) = self.metrics.queued();
        Status {
            state: HostState::Running,
            notes,
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: self.since.elapsed().as_secs(),
            rehearsal: self.rehearsal,
            engine: match engine {
                Ok(ping) => ping.map_err(|error| error.to_string()),
                Err(_) => Err("the container engine does not answer: no reply in 3 s".into()),
            },
            channels: self.outbound.links().into_iter().map(channel_status).collect(),
            queue: Queue { running, waiting, slots: self.slots as u64 },
            groups,
            groups_generation: snapshot.generation,
            problems: snapshot.problems.iter().map(ToString::to_string).collect(),
            sender_problems: self.senders.borrow().problems.clone(),
            refused_mounts,
            outbox_pending: glance.outbox.0,
            outbox_dead: glance.outbox.1,
            petitions: Petitions { granted: counts.granted, refused: counts.refused, unreadable: counts.unreadable },
            tasks_active: glance.tasks.0,
            tasks_paused: glance.tasks.1,
            database_checked_at: self.health.checked_at().map(|at| at.to_string()),
            database_damage: self.health.damage(),
            cli_updates,
        }
    }

    /// Everything that the host counts, in Prometheus's text format.
    pub async fn exposition(&self) -> String {
        let snapshot = self.groups.borrow().clone();
        let (residents, looked) = tokio::join!(self.residents.seen(MEMORY), self.glance(&snapshot));
        let Glance { outbox, tasks, .. } = looked.unwrap_or_default();
        let residents: HashMap<GroupId, (bool, Option<u64>)> =
            residents.into_iter().map(|seen| (seen.group, (seen.busy, seen.memory_bytes))).collect();
        let counts = self.tasks.mailroom.counts();
        let uptime = self.since.elapsed();
        let observed = Observed {
            version: env!("CARGO_PKG_VERSION").into(),
            started: self.clock.now().saturating_sub(uptime).unwrap_or_default(),
            uptime_seconds: uptime.as_secs(),
            resident_bytes: resident_bytes(),
            slots: self.slots as u64,
            outbox,
            tasks,
            petitions: [counts.granted, counts.refused, counts.unreadable],
            database_sound: self.health.checked_at().map(|_| self.health.damage().is_none()),
            channels: self.outbound.links().into_iter().map(|(name, link)| (name, is_up(&link))).collect(),
            groups: snapshot
                .groups
                .iter()
                .map(|group| ObservedGroup {
                    id: group.id.clone(),
                    egress: self.residents.egress_counts(&group.id),
                    used_today: self.meter.used_today(&group.id),
                    resident: residents.get(&group.id).copied(),
                })
                .collect(),
        };
        exposition(&self.metrics, &observed)
    }

    /// How these groups' rows stand, in their order, by a connection of its own: the store's thread has turns to record.
    async fn glance(&self, snapshot: &Snapshot) -> Result<Glance, String> {
        let groups: Vec<(GroupId, String)> =
            snapshot.groups.iter().map(|group| (group.id.clone(), group.chat.clone())).collect();
        let file = self.database.clone();
        match tokio::task::spawn_blocking(move || glance(&file, &groups)).await {
            Ok(Ok(Glanced::Read(glance))) => Ok(glance),
            Ok(Ok(Glanced::Older { .. })) => Err("the database is of an older release".into()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn used_today(&self, group: &GroupId) -> UsedToday {
        UsedToday::from(self.meter.used_today(group))
    }
}

impl From<Amount> for UsedToday {
    fn from(Amount { requests, tokens, nano_usd, unpriced }: Amount) -> Self {
        Self { requests, tokens: tokens.all(), cost_nano_usd: nano_usd, unpriced_requests: unpriced }
    }
}

impl GroupStatus {
    /// With what its rows say.
    #[must_use]
    pub fn with_rows(self, rows: &crate::store::glance::GroupGlance, host: HostState, now: Timestamp) -> Self {
        let next_task =
            rows.next_task.as_ref().map(|(id, at)| super::activity::NextTask { id: id.clone(), at: second(*at) });
        Self {
            activity: Activity::of(rows, host, now),
            last_turn: rows.last.as_ref().map(Into::into),
            next_task,
            ..self
        }
    }

    fn with_resident(self, seen: Option<&Seen>) -> Self {
        let resident = seen.map(|seen| ResidentStatus {
            state: if seen.busy { ResidentState::Busy } else { ResidentState::Warm },
            memory_bytes: seen.memory_bytes,
        });
        Self { warm: seen.is_some_and(|seen| !seen.busy), resident, ..self }
    }
}

fn egress(group: &Group, counts: Counts) -> Egress {
    let Counts { connections, refused, bytes } = counts;
    Egress { connections, refused, bytes, ..Egress::of(group) }
}

fn is_up(link: &Link) -> bool {
    link.state == Some(longshore_protocol::channel::LinkState::Up)
}

fn channel_status((name, link): (String, Link)) -> ChannelStatus {
    let state = match link.state {
        None => "starting".into(),
        // The wire name of the state; it is a plain string by its derive.
        Some(state) => {
            serde_json::to_value(state).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        }
    };
    ChannelStatus {
        name,
        state,
        detail: link.detail,
        down_since: link.down_since.map(second),
        last_gap: link.last_gap.map(|gap| ChannelGap {
            from: second(gap.from),
            until: second(gap.until),
            seconds: gap.seconds(),
        }),
    }
}
