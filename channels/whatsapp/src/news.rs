//! What the platform's events mean for the link. Pure.

use longshore_protocol::channel::LinkState;
use whatsapp_rust::prelude::*;
use whatsapp_rust::types::events::{ConnectFailureReason, LoggedOut, TemporaryBan};

/// What an event means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Messages flow.
    Up,
    /// They do not, and the client keeps trying; why.
    Down(String),
    /// They will not until somebody does something.
    Over(Over),
    /// The server has a message, or refuses it with a code.
    Confirmed {
        /// The message's id.
        id: String,
        /// The code.
        refusal: Option<String>,
    },
    /// The list of groups, or a name in it, is another.
    GroupsChanged,
    /// Messages that came past the durability hook: the platform forgets them, whatever we do.
    Late,
    /// A message could not be read; the sender is asked for it again.
    Unreadable,
}

/// The end of a link that does not come back by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// What happened.
    pub state: LinkState,
    /// What to do about it, for the operator.
    pub detail: String,
    /// Whether the keys are of no use any more.
    pub unlinked: bool,
}

impl Over {
    fn new(state: LinkState, detail: impl Into<String>) -> Self {
        Self { state, detail: detail.into(), unlinked: false }
    }
}

/// What the event means; `None` if nothing that matters here.
#[must_use]
pub fn read(event: &Event) -> Option<News> {
    Some(match event {
        Event::Connected(_) => News::Up,
        Event::Disconnected(_) => News::Down("the connection to WhatsApp broke; reconnecting".to_owned()),
        Event::StreamReplaced(_) => {
            News::Over(Over::new(LinkState::Replaced, "another program uses this link; stop it, then restart the host"))
        }
        Event::LoggedOut(logged_out) => News::Over(end(logged_out)),
        Event::TemporaryBan(ban) => News::Over(banned(ban)),
        Event::ClientOutdated(_) => News::Over(outdated()),
        Event::ConnectFailure(failure) if failure.reason.should_reconnect() => {
            News::Down("WhatsApp is not available now; reconnecting".to_owned())
        }
        Event::ConnectFailure(failure) if failure.reason == ConnectFailureReason::ClientOutdated => {
            News::Over(outdated())
        }
        Event::ConnectFailure(failure) if failure.reason == ConnectFailureReason::TempBanned => News::Over(Over::new(
            LinkState::Banned,
            "WhatsApp has banned this account for some time; open WhatsApp on the phone, \
                 and restart the host when the ban is over",
        )),
        Event::ConnectFailure(failure) => {
            News::Down(format!("WhatsApp refused the connection with code {}", failure.reason.code()))
        }
        Event::ServerAck(ack) if ack.class.as_deref().is_none_or(|class| class == "message") => {
            News::Confirmed { id: ack.id.clone(), refusal: ack.error.clone() }
        }
        Event::GroupUpdate(_) => News::GroupsChanged,
        Event::Messages(batch) if !batch.hook_committed => News::Late,
        Event::UndecryptableMessage(_) => News::Unreadable,
        _ => return None,
    })
}

fn end(logged_out: &LoggedOut) -> Over {
    if logged_out.reason == ConnectFailureReason::AccountLocked {
        let said = logged_out.logout_message.as_ref().and_then(|message| message.header.as_deref());
        let said = said.map_or_else(String::new, |said| format!(" (“{}”)", said.chars().take(200).collect::<String>()));
        return Over::new(
            LinkState::Banned,
            format!(
                "WhatsApp has locked this account{said}; open WhatsApp on the phone and ask for a review there, \
                 then restart the host"
            ),
        );
    }
    Over {
        state: LinkState::LoggedOut,
        detail: "the link was removed, on the phone or by WhatsApp; run `longshore whatsapp link`".to_owned(),
        unlinked: true,
    }
}

fn banned(ban: &TemporaryBan) -> Over {
    let hours = (ban.expire.num_seconds().max(0) + 3599) / 3600;
    Over::new(
        LinkState::Banned,
        format!(
            "WhatsApp has banned this account for {hours} h: {}; wait, restart the host after that, and send less",
            ban.code
        ),
    )
}

fn outdated() -> Over {
    Over::new(
        LinkState::Outdated,
        "WhatsApp no longer takes this version of the adapter; install a newer Longshore and restart the host",
    )
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::types::events::{
        ClientOutdated, ConnectFailure, Connected, ServerAck, StreamReplaced, TempBanReason,
    };
    use whatsapp_rust::wacore::chrono::Duration;

    use super::*;

    fn over(event: &Event) -> (LinkState, String, bool) {
        match read(event) {
            Some(News::Over(over)) => (over.state, over.detail, over.unlinked),
            other => panic!("not the end: {other:?}"),
        }
    }

    fn logged_out(reason: ConnectFailureReason) -> Event {
        Event::LoggedOut(LoggedOut::builder().on_connect(true).reason(reason).build())
    }

    fn failure(code: i32) -> Event {
        Event::ConnectFailure(ConnectFailure::builder().reason(ConnectFailureReason::from(code)).build())
    }

    #[test]
    fn each_end_says_what_to_do() {
        let (state, detail, unlinked) = over(&logged_out(ConnectFailureReason::LoggedOut));
        assert_eq!((state, unlinked), (LinkState::LoggedOut, true));
        assert!(detail.contains("longshore whatsapp link"), "{detail}");
        let (state, detail, unlinked) = over(&logged_out(ConnectFailureReason::AccountLocked));
        assert_eq!((state, unlinked), (LinkState::Banned, false));
        assert!(detail.contains("ask for a review"), "{detail}");
        let ban = TemporaryBan::builder().code(TempBanReason::SentToTooManyPeople).expire(Duration::seconds(5400));
        let (state, detail, _) = over(&Event::TemporaryBan(ban.build()));
        assert_eq!(state, LinkState::Banned);
        assert!(detail.contains("for 2 h"), "{detail}");
        assert_eq!(over(&Event::ClientOutdated(ClientOutdated::builder().build())).0, LinkState::Outdated);
        assert_eq!(over(&Event::StreamReplaced(StreamReplaced::builder().build())).0, LinkState::Replaced);
        assert_eq!(over(&failure(405)).0, LinkState::Outdated);
        assert_eq!(over(&failure(402)).0, LinkState::Banned);
    }

    #[test]
    fn what_passes_is_no_end() {
        for code in [500, 503, 400, 429] {
            assert!(matches!(read(&failure(code)), Some(News::Down(_))), "{code}");
        }
        assert_eq!(read(&Event::Connected(Connected::builder().build())), Some(News::Up));
    }

    #[test]
    fn only_messages_are_confirmed() {
        let ack = |class: &str| Event::ServerAck(ServerAck::builder().id("1".into()).class(class.into()).build());
        assert_eq!(read(&ack("message")), Some(News::Confirmed { id: "1".into(), refusal: None }));
        assert_eq!(read(&ack("receipt")), None);
    }
}
