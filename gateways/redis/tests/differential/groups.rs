//! What commands are made of, group by group.

use fastrand::Rng;

use crate::template::{Asked, Template};

mod bitmaps;
mod databases;
mod generic;
mod hashes;
mod lists;
mod numbers;
mod sets;
mod sorted_sets;
mod sorting;
mod strings;

/// All of them. Each is registered here, by one line.
pub static ALL: &[&Group] = &[
    &strings::GROUP,
    &generic::GROUP,
    &databases::GROUP,
    &bitmaps::GROUP,
    &lists::GROUP,
    &hashes::GROUP,
    &numbers::GROUP,
    &sorting::GROUP,
    &sets::GROUP,
    &sorted_sets::GROUP,
];

/// Templates that belong together.
#[derive(Debug)]
pub struct Group {
    pub name: &'static str,
    pub templates: &'static [Template],
}

impl Group {
    /// A command after one of its templates.
    pub fn command(&self, random: &mut Rng) -> Asked {
        let template = random.choice(self.templates).expect("a group has templates");
        template.command(random)
    }
}
