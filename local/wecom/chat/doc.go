// Package chat writes archived messages in the form that WeCom's library returns:
// the JSON of every msgtype (document 91774, wecom.md 2.3), in every observed and
// every documented shape, including odd shapes. It also invents the texts of
// messages.
//
// The package composes messages only. The simulated WeCom chooses sender,
// receivers and files, and gives them to this package as a [Scene].
package chat
