package decode

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
)

// failure says why a record is set aside. The zero value says that it is not.
type failure struct {
	reason archive.Reason
	detail string // an error code, the library's or ours; never message content
}

// record decrypts one record with each candidate session key ("key text") that
// the corp's private keys produced, and stores the message. first is what the
// batch made of the first candidate, or nil. If every key text fails, record sets
// the record aside. stored says which of the two happened. An error means that the
// page must be tried again; an [errKeyUnread] is about this record alone.
func (p *pageDecode) record(ctx context.Context, rec archive.Record, o opened, first *Decrypted) (stored bool, err error) {
	if o.failed.reason != "" {
		p.setAside(rec, o.failed)
		return false, nil
	}
	last := failure{reason: archive.ReasonNoKey}
	candidates := o.candidates
	for i := 0; i < len(candidates); i++ {
		candidate := candidates[i]
		var raw []byte
		var failed failure
		if i == 0 && first != nil {
			raw, failed = first.Raw, refusedWith(first.Code)
		} else if raw, failed, err = p.decrypt(ctx, candidate.text, rec.Message); err != nil {
			return false, err
		}
		if failed.reason != "" {
			if i < len(o.candidates) {
				last = failed
			}
			if i == len(o.candidates)-1 && failed.reason == archive.ReasonLibrary {
				// The text of the proved key may not have been the right one. A key that
				// cannot be read now does not hold the page back: a replay tries the record
				// again.
				candidates = append(candidates, p.keys.openWith(rec, o.others, "").candidates...)
			}
			continue
		}
		content := readContent(raw)
		if !candidate.bound && proves(content, rec) {
			if err := p.prove(ctx, rec, candidate.keyID); err != nil {
				return false, err
			}
		}
		p.used[candidate.keyID] = true
		p.store(rec, raw, content)
		return true, nil
	}
	if o.err != nil {
		return false, o.err
	}
	p.setAside(rec, last)
	return false, nil
}

// proves reports whether the decrypted content proves that the key belongs to
// the record's version: the record has a version, and the content parses and has the
// record's msgid (law 6).
func proves(content message.Content, rec archive.Record) bool {
	return rec.KeyVersion != 0 && content.Kind != message.KindUnreadable && rec.MsgID != "" && content.Fields.MsgID == rec.MsgID
}

// refusedWith is the failure of a record for which the library returned a code; none
// if the code is 0.
func refusedWith(code int) failure {
	if code == 0 {
		return failure{}
	}
	return failure{archive.ReasonLibrary, strconv.Itoa(code)}
}

// decrypt calls the library for one record. If the library's process dies
// during the call, decrypt tries the record a second time: that call starts a
// fresh process, in which the record is alone (law 7). An error says that the
// library as a whole failed, or that ctx ended.
func (p *pageDecode) decrypt(ctx context.Context, keyText []byte, msg string) ([]byte, failure, error) {
	for try := 1; ; try++ {
		raw, err := p.decrypter.Decrypt(ctx, keyText, msg)
		if err == nil {
			return raw, failure{}, nil
		}
		if ctx.Err() != nil {
			return nil, failure{}, ctx.Err()
		}
		f, _ := archive.LibraryFailed(err)
		switch {
		case f.Op != "DecryptData": // not about the record
			return nil, failure{}, fmt.Errorf("decrypt: %w", err)
		case f.How == "":
			return nil, refusedWith(f.Code), nil
		case try == 1:
			continue
		}
		p.cfg.Log.ErrorContext(ctx, "record breaks the library", "corp", p.row.Corp, "after", p.row.After, "err", err)
		if f.How == archive.Hung {
			return nil, failure{reason: archive.ReasonHang}, nil
		}
		return nil, failure{archive.ReasonCrash, string(f.How)}, nil
	}
}

// brokeLibrary reports whether the record was set aside because the library's
// process died twice while decrypting it.
func brokeLibrary(r archive.Reason) bool {
	return r == archive.ReasonCrash || r == archive.ReasonHang
}

// setAside records that the record could not become a message (law 5).
func (p *pageDecode) setAside(rec archive.Record, f failure) {
	p.decoded.SetAside = append(p.decoded.SetAside, archive.SetAside{
		Corp: p.row.Corp, Seq: rec.Seq, After: p.row.After, MsgID: rec.MsgID, KeyVersion: rec.KeyVersion,
		Reason: f.reason, Detail: f.detail, At: p.row.At,
	})
}

// setPageAside records that the journal has lost the page or has other bytes
// in its place. One entry, under the page's first seq, stands for all records.
func (p *pageDecode) setPageAside(ctx context.Context, err error) {
	p.cfg.Log.ErrorContext(ctx, "journal page unusable", "corp", p.row.Corp, "after", p.row.After, "err", err)
	p.setAside(archive.Record{Seq: p.row.First}, failure{archive.ReasonJournal, "the whole page"})
	p.result.SetAside[string(archive.ReasonJournal)] = p.row.Count
}

// prove binds the key to the record's version. It also starts a replay job over the
// records of this version that are set aside.
func (p *pageDecode) prove(ctx context.Context, rec archive.Record, keyID string) error {
	if !p.keys.prove(rec.KeyVersion, keyID) || p.verifying {
		return nil
	}
	job := Replay{
		Corp: p.row.Corp, ID: JobID(p.row.At, fmt.Sprintf("key-proved-%d", rec.KeyVersion)), CreatedAt: p.cfg.Now(), By: "key proved",
		OnlySetAside: true, Version: rec.KeyVersion, UpdatedAt: p.cfg.Now(),
	}
	if _, err := p.replays.StartRetry(ctx, job); err != nil {
		return fmt.Errorf("start replay for version %d: %w", rec.KeyVersion, err)
	}
	// The job comes before the binding. A crash between them costs nothing: the page's
	// next decoding proves the key again and finds the job stored. Another page that
	// proves it starts a job of its own.
	b := archive.Binding{Version: rec.KeyVersion, KeyID: keyID, Seq: rec.Seq, MsgID: rec.MsgID, At: p.cfg.Now()}
	if err := p.cfg.Keys.Bind(ctx, p.row.Corp, b); err != nil && !errors.Is(err, archive.ErrExists) {
		return fmt.Errorf("bind version %d: %w", rec.KeyVersion, err)
	}
	p.cfg.Log.InfoContext(ctx, "key proved", "corp", p.row.Corp, "publickey_ver", rec.KeyVersion, "key", keyID)
	return nil
}
