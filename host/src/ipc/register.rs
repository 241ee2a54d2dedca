//! `register_group`: through the groups file's own door, which checks it as it checks an operator's edit.

use std::time::Duration;

use jiff::Timestamp;
use longshore_protocol::ipc::RegisterGroup;
use serde_json::Value;

use super::refusal::Refusal;
use crate::groups::edit::{EditError, GroupsFile};
use crate::groups::{Entry, Groups};

/// How long a busy file is waited for, beyond what an edit waits itself.
const PAUSE: Duration = Duration::from_millis(200);

/// What of `containerConfig` decides how sealed a container is, and has no list of the operator's behind it.
const OPERATORS_OWN: [&str; 4] = ["egress", "egressAllow", "network", "image"];

/// Registers the chat and gives the group's folder.
///
/// # Errors
/// What the groups file has against it.
pub(super) async fn register(
    file: &GroupsFile,
    groups: &Groups,
    wish: &RegisterGroup,
    now: Timestamp,
) -> Result<String, Refusal> {
    if wish.is_main == Some(true) {
        return Err(Refusal::IsMain);
    }
    let names = |key: &&str| wish.container_config.as_ref().is_some_and(|config| config.get(*key).is_some());
    if OPERATORS_OWN.iter().any(names) {
        return Err(Refusal::OperatorsOwn);
    }
    if let Some(group) = groups.by_chat(&wish.jid)
        && group.id.as_str() == wish.folder
        && group.name == wish.name
    {
        return Ok(wish.folder.clone());
    }
    let entry = entry(wish, now)?;
    let (file, chat) = (file.clone(), wish.jid.clone());
    let edit = move || match file.add(&chat, &entry) {
        Err(EditError::Busy) => {
            std::thread::sleep(PAUSE);
            file.add(&chat, &entry)
        }
        done => done,
    };
    match tokio::task::spawn_blocking(edit).await {
        Ok(Ok(())) => Ok(wish.folder.clone()),
        Ok(Err(error @ EditError::Io { .. })) => Err(Refusal::Unwritable(error.to_string())),
        Ok(Err(error)) => Err(Refusal::GroupsFile(error.to_string())),
        Err(error) => Err(Refusal::Unwritable(error.to_string())),
    }
}

/// The entry, by way of the file's own names, so that what the file refuses is refused in its words.
fn entry(wish: &RegisterGroup, now: Timestamp) -> Result<Entry, Refusal> {
    let mut value = serde_json::to_value(wish).map_err(|error| Refusal::GroupsFile(error.to_string()))?;
    if let Value::Object(fields) = &mut value {
        fields.remove("jid");
        fields.remove("isMain");
        fields.insert("added_at".into(), format!("{now:.3}").into());
    }
    serde_json::from_value(value).map_err(|error| Refusal::GroupsFile(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn nobody_is_let_out_by_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registered_groups.json");
        std::fs::write(&path, "{}").unwrap();
        for config in [
            json!({ "egress": "open" }),
            json!({ "egressAllow": ["evil.example"] }),
            json!({ "egress": null }),
            json!({ "network": "bridge" }),
            json!({ "image": "evil" }),
        ] {
            let wish = json!({ "jid": "x:1", "name": "X", "folder": "x", "containerConfig": config });
            let wish = serde_json::from_value(wish).unwrap();
            let file = GroupsFile::new(path.clone());
            let refused = register(&file, &Groups::default(), &wish, Timestamp::UNIX_EPOCH).await;
            assert!(matches!(refused, Err(Refusal::OperatorsOwn)), "{config}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}");
    }
}
