use crate::groups::entry::{entry_schema, file_schema};

/// Set `UPDATE_SCHEMA=1` to write the file anew after a change of the types.
#[test]
fn the_checked_in_schema_is_the_one_of_the_types() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema/registered_groups.schema.json");
    let generated = format!("{:#}\n", file_schema().as_value());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
        std::fs::write(path, &generated).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap();
    assert!(
        checked_in == generated,
        "the schema is stale: run this test with UPDATE_SCHEMA=1 and check the difference in"
    );
}

/// The host's own check reads only a part of JSON Schema; a keyword beyond it would be a rule for editors alone.
#[test]
fn the_schema_uses_only_what_the_host_checks_too() {
    fn keywords(schema: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
        let Some(schema) = schema.as_object() else { return };
        for (keyword, value) in schema {
            found.insert(keyword.clone());
            match keyword.as_str() {
                "properties" => value.as_object().unwrap().values().for_each(|inner| keywords(inner, found)),
                "items" | "additionalProperties" => keywords(value, found),
                "oneOf" | "anyOf" => value.as_array().unwrap().iter().for_each(|inner| keywords(inner, found)),
                _ => {}
            }
        }
    }
    let mut found = std::collections::BTreeSet::new();
    keywords(entry_schema().as_value(), &mut found);
    // For people only: `$schema`, `title`, `description`, `format`. `pattern` is the folder's and is checked as a `GroupId`.
    let known = [
        "$schema",
        "additionalProperties",
        "anyOf",
        "const",
        "description",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minLength",
        "minimum",
        "oneOf",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), known);
}
