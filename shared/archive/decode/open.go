package decode

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// maxKeyText is the longest key text that is accepted, in bytes. A key text is a
// decrypted encrypt_random_key. WeCom's have 88 bytes (wecom.md 1.6).
const maxKeyText = 1024

// errKeyUnread says that a private key could not be read. A record that no other key
// opens must be tried again with its page.
var errKeyUnread = errors.New("private key unavailable")

// opened is what the corp's private keys made of one record's
// encrypt_random_key.
type opened struct {
	candidates []candidate
	others     []string // keys that were not tried, because the proved key seems to fit
	failed     failure  // set if there is no candidate and no err
	// err is an [errKeyUnread]. If every candidate fails, the page must be tried
	// again, because that key may be the right one.
	err error
}

// candidate is a key text that one private key opened.
type candidate struct {
	keyID string
	bound bool // the key is proved for the record's version
	text  []byte
}

// openings are the records of a page whose key texts are being opened in
// parallel. Decrypting follows in the order of the records.
type openings struct {
	results []opened
	ready   []chan struct{} // ready[i] is closed when results[i] is set
}

// wait returns the i-th record's result once it is there.
func (o *openings) wait(ctx context.Context, i int) (opened, error) {
	select {
	case <-o.ready[i]:
		return o.results[i], nil
	case <-ctx.Done():
		return opened{}, ctx.Err()
	}
}

// openAll starts to open the records in their order, Parallel at a time. Its
// goroutines end when all records are opened or ctx ends.
func (p *pageDecode) openAll(ctx context.Context, records []archive.Record) *openings {
	o := &openings{results: make([]opened, len(records)), ready: make([]chan struct{}, len(records))}
	for i := range records {
		o.ready[i] = make(chan struct{})
	}
	var next atomic.Int64
	for range max(1, p.cfg.Parallel) {
		go func() {
			for i := int(next.Add(1)) - 1; i < len(records) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				o.results[i] = p.keys.open(records[i])
				close(o.ready[i])
			}
		}()
	}
	return o
}

// open tries the keys on one record, up to the one that is proved for its version.
// Several keys may seem to fit, because a wrong key's PKCS#1 padding is right by
// chance once in some ten thousand times. Decrypting the message then decides.
func (k *pageKeys) open(rec archive.Record) opened {
	ids, proved := k.candidates(rec.KeyVersion)
	return k.openWith(rec, ids, proved)
}

func (k *pageKeys) openWith(rec archive.Record, ids []string, proved string) opened {
	if rec.RandomKey == "" || rec.Message == "" {
		return opened{failed: failure{archive.ReasonBadRecord, "field missing"}}
	}
	sealed, err := base64.StdEncoding.DecodeString(rec.RandomKey)
	if err != nil {
		return opened{failed: failure{archive.ReasonBadRecord, "encrypt_random_key is not base64"}}
	}
	var out opened
	for i, id := range ids {
		opener, err := k.opener(id)
		switch {
		case errors.Is(err, archive.ErrNotFound) && !k.young[id]:
			continue
		case errors.Is(err, archive.ErrNotFound):
			out.err = fmt.Errorf("%w: %s not readable yet", errKeyUnread, id)
			continue
		case err != nil:
			out.err = fmt.Errorf("%w: read %s: %w", errKeyUnread, id, err)
			continue
		}
		text, err := opener.Open(sealed)
		if err != nil || !plausible(text) {
			continue
		}
		out.candidates = append(out.candidates, candidate{keyID: id, bound: id == proved, text: text})
		if id == proved {
			out.others = ids[i+1:]
			break
		}
	}
	if len(out.candidates) == 0 && out.err == nil {
		out.failed.reason = archive.ReasonNoKey
	}
	return out
}

// plausible reports whether text can be a key text: printable, not empty,
// and at most maxKeyText long (wecom.md 1.6).
func plausible(text []byte) bool {
	if len(text) == 0 || len(text) > maxKeyText {
		return false
	}
	return !slices.ContainsFunc(text, func(c byte) bool { return c < 0x21 || c > 0x7e })
}
