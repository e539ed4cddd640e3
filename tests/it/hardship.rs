//! Real faults against the real program: it is killed, cut off, starved of its disk and crowded, and nothing that it
//! answered with 200 may be lost, nothing shown twice, and nothing need be done for it to go on.

mod clock;
mod crash;
mod crowd;
mod disk;
mod neighbours;
mod network;
mod site;
mod trouble;
