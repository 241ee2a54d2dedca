//! The hosts that tools reach without a word of the operator's: where code and packages come from. Pure.
//!
//! Each takes downloads from everybody. A host is on the list only if a package manager or `git` asks it
//! in its ordinary use, and never one of the vendors of the models: the CLIs have their own way to those,
//! and what else they would tell them stays inside.

/// Names, each with ports 443 and 80; `*.` stands for one or more labels.
pub const HOSTS: &[&str] = &[
    // git, and the archives and raw files that installers fetch beside it
    "github.com",
    "codeload.github.com",
    "*.githubusercontent.com",
    "gitlab.com",
    "bitbucket.org",
    "codeberg.org",
    // npm, yarn, node's headers for native modules
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "nodejs.org",
    // pip
    "pypi.org",
    "files.pythonhosted.org",
    // cargo, rustup
    "crates.io",
    "index.crates.io",
    "static.crates.io",
    "static.rust-lang.org",
    // go
    "proxy.golang.org",
    "sum.golang.org",
    // gem
    "rubygems.org",
    "index.rubygems.org",
    // maven, gradle
    "repo.maven.apache.org",
    "repo1.maven.org",
    // apt, in the agent image
    "deb.debian.org",
    "security.debian.org",
];
