// Package wecom is a simulated WeCom: several companies with a session archive,
// the HTTP interfaces of the archive, the callbacks that announce new messages,
// and an admin console. The console sets the archive up and causes faults.
//
// The package serves the local cloud and tests. It is as strict as the real
// WeCom, as described in wecom.md: pages of records strictly after a seq, gaps
// between seqs, five days of retention, trusted addresses, key versions, consent,
// seats, tokens, bans, and errors inside successful answers. For questions that
// only WeCom could answer, [Choices] selects the answer.
//
// [Sim.Handler] answers as qyapi.weixin.qq.com does. It also answers a client
// that uses it as an HTTP proxy. The stand-in for the vendor library reaches it
// in this way. [Sim.Control] is the admin console, for loopback addresses only.
// Tests may call [Sim] and [Corp] directly.
//
// The real WeCom seals messages in a format that only its library knows. This
// package seals messages in the format of package standin. Real RSA encrypts the
// key text of each message.
//
// All types are safe for concurrent use. Two runs with the same [Config.Seed],
// clock and calls, from a single goroutine, give the same messages with the same
// ids, seqs and bytes. Only the padding of RSA differs.
//
// The secrets of this package are invented and protect nothing. So they are plain
// strings, and the console shows them, as WeCom's console does.
package wecom
