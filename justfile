# The usual commands, for https://just.systems. `just` lists them.

default:
    @just --list

# Start the server on 127.0.0.1:8080
run *options:
    cargo run --release -- {{options}}

# All tests; installs what they need on Debian
test:
    ./test

# The tests whose names contain WORD
only WORD:
    cargo nextest run --workspace {{WORD}}

# Format, and report every warning
lint:
    cargo fmt
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# Everything that must hold before a change goes in
check:
    .ci/run

# What takes longer: many seeds, the bystander's waits, Autobahn
deep:
    .ci/deep

# How long others wait while a few make the server work
bystander:
    cargo bench --package hubcast-tests --bench bystander

# Compare with another server: just compare 'COMMAND {port}'
compare rival:
    cargo build --release
    bench/compare --rival '{{rival}}'

# The documentation of all crates
doc:
    cargo doc --workspace --no-deps --open
