//! Tests of the whole hub: against a naive model, and as scenes with exact frames.
//!
//! - [`alphabet`], [`cast`], [`positions`]: the scripts of the property tests. To test a new kind of input or request,
//!   begin here.
//! - [`model`]: the naive model, which says what the hub must do.
//! - [`driver`]: plays a script on the shipped hub, with the embedded engine or an engine elsewhere.
//! - [`seen`]: the effects in a form in which hub and model can be compared.
//! - [`properties`], [`keeping`], [`continuity`]: properties that hold for every script.
//! - [`parts`], [`bounds`]: work that is done in parts has the same result as work that is done at once, and no part
//!   is large.
//! - [`lists`]: a list of receivers is made again whenever the receivers have changed.
//! - [`reporting`]: what is told of sessions and topics, for hooks.
//! - [`shares`], [`shares_model`]: how all histories share the bytes that they may use together.
//! - [`stage`], [`frames`]: helpers of the scenes: sessions that send and receive frames, and frames with positions.
//! - [`scenes`], [`resume_scenes`], [`history_scenes`], [`key_scenes`], [`presence_scenes`], [`authority_scenes`]: single cases as
//!   transcripts of frames. When a property fails, its shrunk script is committed here, under a name that says what
//!   went wrong.

mod alphabet;
mod authority_scenes;
mod bounds;
mod cast;
mod continuity;
mod driver;
mod frames;
mod history_scenes;
mod keeping;
mod key_scenes;
mod lists;
mod model;
mod parts;
mod positions;
mod presence_scenes;
mod properties;
mod reporting;
mod resume_scenes;
mod scenes;
mod seen;
mod shares;
mod shares_model;
mod stage;
