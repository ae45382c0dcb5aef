package wecomapi

import (
	"bytes"
	"encoding/json"
)

// maxDepth is deeper than any answer of WeCom's.
const maxDepth = 1000

// mended turns a damaged answer into valid JSON. It copies every part that it can read,
// writes null in place of every other part, and adds the brackets that the answer lacks
// at its end.
func mended(raw []byte) []byte {
	m := mender{raw: raw, at: max(bytes.IndexByte(raw, '{'), 0)}
	m.value(0)
	return m.out
}

type mender struct {
	raw, out []byte
	at       int
}

// next moves to the first byte that is not blank, and returns it; 0 at the end.
func (m *mender) next() byte {
	for ; m.at < len(m.raw); m.at++ {
		if c := m.raw[m.at]; c > ' ' {
			return c
		}
	}
	return 0
}

// value writes the next value.
func (m *mender) value(depth int) {
	switch c := m.next(); {
	case c == '{' && depth < maxDepth:
		m.values('}', depth)
	case c == '[' && depth < maxDepth:
		m.values(']', depth)
	default:
		m.out = append(m.out, m.scalar(c)...)
	}
}

// values writes an object or a list, whose closing bracket is end. The bracket of the
// other sort ends it too.
func (m *mender) values(end byte, depth int) {
	m.out = append(m.out, m.raw[m.at])
	m.at++
	first := true
	for {
		c := m.next()
		if c == 0 || c == '}' || c == ']' {
			if c == end {
				m.at++
			}
			break
		}
		if c == ',' || c == ':' {
			m.at++
			continue
		}
		var name []byte
		if end == '}' {
			if name = m.scalar(c); m.next() != ':' || name[0] != '"' {
				continue
			}
			m.at++
		}
		if !first {
			m.out = append(m.out, ',')
		}
		first = false
		if name != nil {
			m.out = append(append(m.out, name...), ':')
		}
		m.value(depth + 1)
	}
	m.out = append(m.out, end)
}

// scalar reads a text, a number or a word that begins with c.
func (m *mender) scalar(c byte) []byte {
	begin := m.at
	if c == '"' {
		m.text()
	} else {
		for m.at < len(m.raw) && bytes.IndexByte([]byte(`,:]}`), m.raw[m.at]) < 0 {
			m.at++
		}
	}
	if s := bytes.TrimSpace(m.raw[begin:m.at]); json.Valid(s) {
		return s
	}
	return []byte("null")
}

// text moves behind a text: behind a mark that something follows which may follow a
// text. A text with another mark in it is then no JSON.
func (m *mender) text() {
	for m.at++; m.at < len(m.raw); m.at++ {
		switch m.raw[m.at] {
		case '\\':
			m.at++
		case '"':
			m.at++
			if c := m.next(); c == 0 || bytes.IndexByte([]byte(`,:]}`), c) >= 0 {
				return
			}
			m.at--
		}
	}
	m.at = min(m.at, len(m.raw))
}
