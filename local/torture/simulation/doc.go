// Package simulation plays the archive's algorithms against faults, one run for
// each seed, in one process and in simulated time.
//
// The algorithms are those of the functions: pull, decode, media and watch, with
// the gate, lanes, marks and jobs. Their stores are the fakes of archivetest, which
// pass the same suites as the adapters. WeCom, SQS, Lambda and the admins are
// played. Every call of every store goes through one port, which makes the calls
// one after another in an order that the seed decides. The seed also decides which
// calls fail before or after they take effect, take effect twice, wait or never
// answer; which processes die at which call; which requests repeat, overtake each
// other or vanish; and what companies and WeCom do. So a seed always tells the same
// story.
//
// A run ends with calm weather: faults stop, admins enter the right secrets and
// keys, and the timer brings back what was lost. Then one checker compares the whole
// state with what WeCom offered.
package simulation
