#![doc = include_str!("../README.md")]

mod pages;
mod site;

pub use site::Site;
