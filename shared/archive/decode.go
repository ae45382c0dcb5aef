package archive

import (
	"context"
)

// A DecodeLedger is where the decoder finds pages and says what it made of
// them. Safe for concurrent use.
type DecodeLedger interface {
	// Row reads the row that was asked after the given seq; [ErrNotFound].
	Row(ctx context.Context, corp string, after uint64) (Row, error)
	// Finish records result on the row, sets its state to [RowDecoded] and
	// takes it off the pending pages, in one transaction. Idempotent; the last
	// writer wins.
	Finish(ctx context.Context, corp string, after uint64, result Result) error
}

// A ViewWriter stores what was decoded. Every write is the same however often
// it is done. Safe for concurrent use.
type ViewWriter interface {
	// WritePage makes all of p durable, in the order of its fields, before it
	// returns nil; after an error any part may have been stored.
	WritePage(ctx context.Context, p PageView) error
	// SetAside lists the undecryptable rows with First <= Seq <= Last, by Seq.
	SetAside(ctx context.Context, corp string, first, last uint64) ([]Undecryptable, error)
}

// PageView is a page, decoded.
type PageView struct {
	Corp       string
	Messages   []Message       // Raw is nil where Overflow is set
	Activities []Activity      // distinct; storing skips those already there
	SetAside   []Undecryptable // stored, replacing any of the same Seq
	Cleared    []uint64        // seqs whose undecryptable rows are removed
}

// KeyBinder reads a corp's keys and records proofs.
type KeyBinder interface {
	// KeySet reads consistently. A corp without keys has an empty set.
	KeySet(ctx context.Context, corp string) (KeySet, error)
	// Bind records a proof; [ErrExists] if the version is bound already, to
	// whichever key.
	Bind(ctx context.Context, corp string, b Binding) error
}

// An Opener is a private key in use. Safe for concurrent use.
type Opener interface {
	// Open undoes RSA PKCS#1 v1.5 (wecom.md 1.6). It fails if the padding is
	// wrong; that it succeeds proves little.
	Open(ciphertext []byte) ([]byte, error)
}

// Openers fetches private keys by corp and key id; [ErrNotFound] if the
// secret store has none. It may keep them in memory for some minutes. Safe
// for concurrent use.
type Openers interface {
	Opener(ctx context.Context, corp, keyID string) (Opener, error)
}

// A Decrypter is WeCom's DecryptData, in a process that serves one corp. Not
// safe for concurrent use. Errors are as for [Source].
type Decrypter interface {
	// Decrypt takes the opened key text and the record's encrypt_chat_msg,
	// both unchanged. The caller owns the bytes returned.
	Decrypt(ctx context.Context, keyText []byte, message string) ([]byte, error)
}

// Decrypters opens decrypters; cheap where the corp's process is still there.
type Decrypters interface {
	Decrypter(ctx context.Context, corp string) (Decrypter, error)
}
