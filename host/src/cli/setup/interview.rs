//! What `longshore setup` asks, in which order, and what counts as an answer. Pure: whoever asks is elsewhere.

use jiff::tz::TimeZone;
use longshore_protocol::ProviderKind;

/// The most characters of a name, as in the settings.
const MAX_NAME: usize = 64;

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// What the assistant is called.
    Name,
    /// In which zone people mean their times.
    TimeZone,
    /// Who answers in the main group.
    Provider,
    /// With what that provider signs in.
    Credential,
    /// By which channel people write.
    Channel,
}

/// The order; the key itself is asked for after the last.
const QUESTIONS: [Question; 5] =
    [Question::Name, Question::TimeZone, Question::Channel, Question::Provider, Question::Credential];

/// With what a provider signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As it does already.
    Keep,
    /// With an API key.
    ApiKey,
    /// With a subscription's token, from `claude setup-token`.
    Token,
    /// With a ChatGPT login.
    Login,
    /// With nothing: a stand-in answers.
    Nothing,
}

const WAYS: [(Way, &str); 5] = [
    (Way::Keep, "keep"),
    (Way::ApiKey, "api-key"),
    (Way::Token, "token"),
    (Way::Login, "login"),
    (Way::Nothing, "none"),
];

/// By which channel people write first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChannelChoice {
    /// The terminal.
    Console,
    /// WhatsApp besides.
    Whatsapp,
}

/// Answers that were given in advance, as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Given {
    pub(super) name: Option<String>,
    pub(super) time_zone: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) credential: Option<String>,
    pub(super) channel: Option<String>,
}

/// What there is already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Present {
    /// The assistant's name.
    pub(super) name: String,
    /// The zone: of the settings, or else the system's.
    pub(super) time_zone: String,
    /// Who answers in the main group.
    pub(super) provider: ProviderKind,
    /// What claude signs in with, if it can.
    pub(super) claude: Option<String>,
    /// What codex signs in with, if it can.
    pub(super) codex: Option<String>,
    /// Whether WhatsApp is one of the channels.
    pub(super) on_whatsapp: bool,
    /// Whether its adapter is installed.
    pub(super) has_whatsapp: bool,
}

/// What is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) question: Question,
    /// The question, for a person.
    pub(super) prompt: String,
    /// What to choose from: the answer, and what it means. Empty when anything may be written.
    pub(super) choices: Vec<(String, String)>,
    /// What a person is offered.
    pub(super) offered: String,
    /// What is taken where nobody can be asked.
    pub(super) assumed: Option<String>,
    /// The flag that answers it.
    pub(super) flag: &'static str,
}

/// Everything that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) name: String,
    pub(super) time_zone: String,
    pub(super) provider: ProviderKind,
    pub(super) way: Way,
    pub(super) channel: ChannelChoice,
}

/// A conversation with whoever sets up.
#[derive(Debug, Clone)]
pub(super) struct Interview {
    present: Present,
    asked: usize,
    answers: Answers,
}

impl Interview {
    pub(super) fn new(present: Present) -> Self {
        let answers = Answers {
            name: present.name.clone(),
            time_zone: present.time_zone.clone(),
            provider: present.provider,
            way: Way::Keep,
            channel: if present.on_whatsapp { ChannelChoice::Whatsapp } else { ChannelChoice::Console },
        };
        Self { present, asked: 0, answers }
    }

    /// The next question; `None` when all is known.
    pub(super) fn next(&self) -> Option<Ask> {
        QUESTIONS.get(self.asked).map(|question| self.ask(*question))
    }

    /// Takes the answer to the question that is next.
    ///
    /// # Errors
    /// What is wrong with it; the question stays.
    pub(super) fn answer(&mut self, text: &str) -> Result<(), String> {
        let Some(question) = QUESTIONS.get(self.asked) else { return Ok(()) };
        let text = text.trim();
        match question {
            Question::Name => self.answers.name = name(text)?,
            Question::TimeZone => self.answers.time_zone = time_zone(text)?,
            Question::Provider => {
                self.answers.provider =
                    text.parse().map_err(|_| format!("`{text}` is neither `claude` nor `codex`"))?;
            }
            Question::Credential => self.answers.way = self.way(text)?,
            Question::Channel => self.answers.channel = self.channel(text)?,
        }
        self.asked += 1;
        Ok(())
    }

    /// Answers as far as it goes from what was given and, if nobody is to be asked, what is assumed.
    ///
    /// # Errors
    /// Every flag that is wrong or missing, in a sentence each.
    pub(super) fn answer_all(mut self, given: &Given) -> Result<Answers, Vec<String>> {
        let mut problems = Vec::new();
        while let Some(ask) = self.next() {
            let text = given.to(ask.question).map(str::to_owned).or(ask.assumed.clone());
            let answered = match text {
                Some(text) => self.answer(&text).map_err(|why| format!("{}: {why}", ask.flag)),
                None => {
                    let choices: Vec<String> = ask.choices.iter().map(|(answer, _)| format!("`{answer}`")).collect();
                    Err(format!("{} is missing: {} ({})", ask.flag, ask.prompt, choices.join(", ")))
                }
            };
            if let Err(problem) = answered {
                problems.push(problem);
                self.asked += 1;
            }
        }
        if problems.is_empty() { Ok(self.answers) } else { Err(problems) }
    }

    /// The answers; those that nobody was asked for are what there is.
    pub(super) fn finish(self) -> Answers {
        self.answers
    }

    fn ask(&self, question: Question) -> Ask {
        let present = &self.present;
        let told = |prompt: &str, flag, value: &str| Ask {
            question,
            prompt: prompt.into(),
            choices: Vec::new(),
            offered: value.into(),
            assumed: Some(value.into()),
            flag,
        };
        match question {
            Question::Name => told("What is the assistant called?", "--name", &present.name),
            Question::TimeZone => {
                told("In which time zone do people mean their times?", "--timezone", &present.time_zone)
            }
            Question::Provider => Ask {
                choices: vec![choice("claude", "Claude Code, by Anthropic"), choice("codex", "Codex, by OpenAI")],
                ..told("Who answers in the main group?", "--provider", present.provider.as_str())
            },
            Question::Credential => self.ask_credential(),
            Question::Channel => {
                let mut choices = vec![choice("console", "this terminal, with `longshore chat`")];
                if present.has_whatsapp || present.on_whatsapp {
                    choices.push(choice("whatsapp", "WhatsApp as well: a phone links it"));
                }
                let now = if present.on_whatsapp { "whatsapp" } else { "console" };
                Ask { choices, ..told("How do people write to it?", "--channel", now) }
            }
        }
    }

    fn ask_credential(&self) -> Ask {
        let provider = self.answers.provider;
        let present = self.present_credential(provider);
        let mut choices = Vec::new();
        if let Some(present) = present {
            choices.push(choice("keep", &format!("what there is: {present}")));
        }
        match provider {
            ProviderKind::Claude => {
                choices.push(choice("api-key", "an API key of console.anthropic.com"));
                choices.push(choice("token", "a Claude subscription: `claude setup-token` prints a token"));
            }
            ProviderKind::Codex => {
                choices.push(choice("login", "a ChatGPT plan: log in with the browser"));
                choices.push(choice("api-key", "an API key of platform.openai.com"));
            }
        }
        choices.push(choice("none", "nothing: a stand-in answers, and says so"));
        let assumed = present.map(|_| "keep".to_owned());
        Ask {
            question: Question::Credential,
            prompt: format!("What does {provider} sign in with?"),
            offered: choices.first().map(|(answer, _)| answer.clone()).unwrap_or_default(),
            choices,
            assumed,
            flag: "--credential",
        }
    }

    fn present_credential(&self, provider: ProviderKind) -> Option<&str> {
        match provider {
            ProviderKind::Claude => self.present.claude.as_deref(),
            ProviderKind::Codex => self.present.codex.as_deref(),
        }
    }

    fn way(&self, text: &str) -> Result<Way, String> {
        let provider = self.answers.provider;
        let known = WAYS.iter().find(|(_, name)| *name == text).map(|(way, _)| *way);
        match (known, provider) {
            (Some(Way::Keep), _) if self.present_credential(provider).is_none() => {
                Err(format!("there is nothing to keep: {provider} has no credential yet"))
            }
            (Some(Way::Token), ProviderKind::Codex) => {
                Err("`token` is for claude; codex has `login` and `api-key`".into())
            }
            (Some(Way::Login), ProviderKind::Claude) => {
                Err("`login` is for codex; claude has `token` and `api-key`".into())
            }
            (Some(way), _) => Ok(way),
            (None, _) => Err(format!("`{text}` is none of `keep`, `api-key`, `token`, `login` and `none`")),
        }
    }

    fn channel(&self, text: &str) -> Result<ChannelChoice, String> {
        match text {
            "console" => Ok(ChannelChoice::Console),
            "whatsapp" if self.present.has_whatsapp || self.present.on_whatsapp => Ok(ChannelChoice::Whatsapp),
            "whatsapp" => {
                Err("`longshore-whatsapp` is not installed beside this program; `make whatsapp` builds it".into())
            }
            _ => Err(format!("`{text}` is neither `console` nor `whatsapp`")),
        }
    }
}

impl Given {
    pub(super) fn to(&self, question: Question) -> Option<&str> {
        match question {
            Question::Name => self.name.as_deref(),
            Question::TimeZone => self.time_zone.as_deref(),
            Question::Provider => self.provider.as_deref(),
            Question::Credential => self.credential.as_deref(),
            Question::Channel => self.channel.as_deref(),
        }
    }
}

fn choice(answer: &str, meaning: &str) -> (String, String) {
    (answer.to_owned(), meaning.to_owned())
}

fn name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.chars().count() <= MAX_NAME && !text.starts_with('-');
    if fits && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!("a name is one line of 1 to {MAX_NAME} characters and does not begin with `-`"))
}

fn time_zone(text: &str) -> Result<String, String> {
    match TimeZone::get(text) {
        Ok(zone) => Ok(zone.iana_name().unwrap_or(text).to_owned()),
        Err(_) => {
            Err(format!("`{text}` is no IANA time zone; they are like `Europe/Berlin`, `America/New_York` and `UTC`"))
        }
    }
}

/// What of the settings is changed: only what differs from what there is. `channels` is all of them with WhatsApp.
pub(super) fn changes<'a>(
    present: &Present,
    answers: &'a Answers,
    key: Option<&'a str>,
    channels: &'a str,
) -> Vec<(&'a str, Option<&'a str>)> {
    let mut changes = Vec::new();
    if answers.name != present.name {
        changes.push(("ASSISTANT_NAME", Some(answers.name.as_str())));
    }
    if answers.time_zone != present.time_zone {
        changes.push(("TZ", Some(answers.time_zone.as_str())));
    }
    match (answers.provider, answers.way) {
        (ProviderKind::Claude, Way::ApiKey) => changes.push(("ANTHROPIC_API_KEY", key)),
        (ProviderKind::Claude, Way::Token) => {
            // Either of them would win over the token.
            changes.extend([
                ("CLAUDE_CODE_OAUTH_TOKEN", key),
                ("ANTHROPIC_API_KEY", None),
                ("ANTHROPIC_AUTH_TOKEN", None),
            ]);
        }
        (ProviderKind::Codex, Way::ApiKey) => changes.push(("CODEX_API_KEY", key)),
        _ => {}
    }
    if answers.channel == ChannelChoice::Whatsapp && !present.on_whatsapp {
        changes.push(("CHANNELS", Some(channels)));
    }
    changes
}

#[cfg(test)]
mod tests;
