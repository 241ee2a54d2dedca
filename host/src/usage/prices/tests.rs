use proptest::prelude::*;

use super::*;

fn prices(text: &str) -> Prices {
    Prices::parse(text.as_bytes()).unwrap()
}

fn tokens(input: u64, cache_write: u64, cached_input: u64, output: u64) -> Tokens {
    Tokens { input, cache_write, cached_input, output }
}

fn rendered(text: &str) -> String {
    let problems = Prices::parse(text.as_bytes()).unwrap_err();
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn the_longest_pattern_that_fits_is_the_price() {
    let prices = prices(
        r#"{"models": {
            "*": {"input": 1, "output": 0},
            "m-*": {"input": 2, "output": 0},
            "m-large*": {"input": 3, "output": 0},
            "m-large": {"input": 4, "output": 0}
        }}"#,
    );
    for (model, dollars) in [("x", 1), ("m-small", 2), ("m-large-2", 3), ("m-large", 4), ("m", 1)] {
        assert_eq!(prices.cost(model, &tokens(1_000_000, 0, 0, 0)), Some(dollars * 1_000_000_000), "{model}");
    }
}

#[test]
fn each_kind_of_tokens_has_its_price_and_the_cache_that_of_the_input_where_none_is_set() {
    let prices = prices(
        r#"{"$comment": ["any", 1], "models": {
            "a": {"input": 3, "cacheWrite": 3.75, "cachedInput": 0.3, "output": 15},
            "b": {"input": 3, "output": 15}
        }}"#,
    );
    let million = tokens(1_000_000, 1_000_000, 1_000_000, 1_000_000);
    assert_eq!(prices.cost("a", &million), Some(22_050_000_000));
    assert_eq!(prices.cost("b", &million), Some(24_000_000_000));
    assert_eq!(prices.cost("a", &tokens(0, 0, 1, 0)), Some(300));
    assert_eq!(prices.cost("c", &million), None);
    assert_eq!(prices.cost("c", &Tokens::default()), Some(0), "an error costs nothing, whoever gave it");
    assert!(prices.knows("a") && !prices.knows("c"));
    assert_eq!(prices.cost("a", &tokens(u64::MAX, u64::MAX, u64::MAX, u64::MAX)), Some(u64::MAX));
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    insta::assert_snapshot!(rendered(
        r#"{
  "model": {},
  "models": {
    "a": { "input": -1, "output": "x", "cached": 1 },
    "b": { "input": 1 },
    "a*b": { "input": 1, "output": 1e300 },
    "": 5,
    "b": { "input": 1, "output": 1, "output": 2 }
  },
  "models": []
}"#
    ), @r"
    line 10, column 3: `$['models']`: is written twice
    line 2, column 12: `$.model`: unknown field; known are `models` and `$comment`
    line 8, column 5: `$.models['b']`: is written twice
    line 4, column 40: `$.models['a'].cached`: unknown field; known are `input`, `cacheWrite`, `cachedInput` and `output`
    line 4, column 21: `$.models['a'].input`: expected US dollars per million tokens, a number from 0 to 10000
    line 4, column 35: `$.models['a'].output`: expected US dollars per million tokens, a number from 0 to 10000
    line 5, column 10: `$.models['b'].output`: is missing
    line 6, column 5: `$.models['a*b']`: a model's name, or its beginning and one `*` at the end; at most 128 bytes
    line 6, column 36: `$.models['a*b'].output`: expected US dollars per million tokens, a number from 0 to 10000
    line 7, column 5: `$.models['']`: a model's name, or its beginning and one `*` at the end; at most 128 bytes
    line 7, column 9: `$.models['']`: expected an object with `input` and `output`
    line 8, column 37: `$.models['b']['output']`: is written twice
    line 10, column 13: `$.models`: expected an object
    ");
}

#[test]
fn what_is_no_price_table_is_told_in_a_sentence() {
    for (text, expected) in [
        ("", "line 1, column 1: `$`: this is not JSON: EOF while parsing a value\n"),
        ("{\n  // no\n}", "line 2, column 3: `$`: this is not JSON: key must be a string\n"),
        ("[]", "`$`: expected an object, `{ \"models\": { … } }`\n"),
        ("{}", "line 1, column 1: `$.models`: is missing\n"),
    ] {
        assert_eq!(rendered(text), expected);
    }
    assert!(rendered(&"[".repeat(100_000)).contains("nested deeper"));
    assert!(Prices::parse(&vec![b' '; MAX_FILE_BYTES + 1]).unwrap_err()[0].text.contains("1048577 bytes"));
    assert!(Prices::parse(b"{\"\xe4\": 1}").is_err());
}

#[test]
fn the_operators_prices_come_before_those_of_the_host() {
    let built_in = Prices::parse(BUILT_IN.as_bytes()).unwrap();
    let million = tokens(1_000_000, 0, 0, 0);
    assert_eq!(built_in.cost("claude-haiku-4-5-20251001", &million), Some(1_000_000_000));
    assert_eq!(built_in.cost("claude-haiku-9", &million), None, "what is newer is not guessed");
    let own = prices(r#"{"models": {"claude-*": {"input": 7, "output": 7}}}"#).over(built_in);
    assert_eq!(own.cost("claude-haiku-4-5", &million), Some(7_000_000_000), "however vague its pattern");
    assert_eq!(own.cost("gpt-5", &million), Some(1_250_000_000));
}

proptest! {
    #[test]
    fn any_bytes_are_prices_or_problems(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Prices::parse(&bytes).is_ok_and(|_| true) || !Prices::parse(&bytes).unwrap_err().is_empty());
    }

    #[test]
    fn a_cut_file_is_never_half_used(at in 0usize..60) {
        let text = r#"{"models": {"a*": {"input": 1.5, "output": 2}, "b": {"input": 3, "output": 4}}}"#;
        prop_assert!(Prices::parse(&text.as_bytes()[..at]).is_err());
    }

    #[test]
    fn more_tokens_never_cost_less(input in 0u64..1_000_000_000, more in 0u64..1_000_000, price in 0u32..1_000_000) {
        let prices = prices(&format!(r#"{{"models": {{"*": {{"input": {price}e-3, "output": 1}}}}}}"#));
        let cost = |input| prices.cost("m", &tokens(input, 0, 0, 0)).unwrap();
        prop_assert!(cost(input) <= cost(input + more));
    }
}
