// Package chat writes archived messages as WeCom's library hands them out:
// the JSON of every msgtype (document 91774, wecom.md 2.3) in every shape that
// was seen or documented, oddities included, and the small talk to fill them.
//
// It only composes. Who talks to whom, what is archived and what a file
// holds is decided by the simulated WeCom, which gives it a [Scene].
package chat
