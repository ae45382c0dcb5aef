// Package wecom is a simulated WeCom: several companies with a session
// archive, the HTTP interfaces that serve it, the callbacks that announce it,
// and an admin console to set it up and to make things go wrong.
//
// It is for the local cloud and for tests, and meant to be no kinder than the
// real one. It keeps to what wecom.md gathers: strictly-after paging with gaps
// in seq, five days of retention, trusted addresses, key versions, consent,
// seats, tokens and bans, errors inside successful answers. Where nobody
// outside WeCom knows the answer, [Choices] gives either.
//
// [Sim.Handler] answers as qyapi.weixin.qq.com does, also to a client that
// takes it for an HTTP proxy, which is how the stand-in for the vendor library
// reaches it. [Sim.Control] is the admin console, for loopback only. Tests may
// call [Sim] and [Corp] instead.
//
// What the real WeCom seals in a secret envelope is sealed here as package
// standin does; the key text around it is wrapped in real RSA.
//
// Everything is safe for concurrent use. With one [Config.Seed], one clock and
// one caller, a run can be repeated: the same messages get the same ids, seqs
// and bytes. Only the padding of RSA differs.
//
// Secrets in here are invented and guard nothing: they are plain strings, and
// the console shows them like WeCom's does.
package wecom
