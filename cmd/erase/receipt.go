package main

import (
	"encoding/json"
	"io"
	"time"
)

// receipt lists what the company had, and what is left of it.
type receipt struct {
	Stack   string           `json:"stack"`
	CorpID  string           `json:"corp_id"`
	At      time.Time        `json:"at"`
	Erased  bool             `json:"erased"` // false: only counted, or something is left
	Head    *head            `json:"head"`   // the head of the chain before the deletion; null without a chain
	Buckets map[string]count `json:"buckets"`
	Tables  map[string]int   `json:"tables"` // number of items
	Secrets []string         `json:"secrets"`
	// Left names each thing that could not be erased, with the reason.
	Left []string `json:"left"`

	versions []version         // versions of objects that are left
	refused  map[object]string // S3's error code for each object that it refused to delete
}

func (e eraser) newReceipt() receipt {
	return receipt{
		Stack: e.stack, CorpID: e.corp, At: e.now().UTC().Truncate(time.Second),
		Buckets: map[string]count{}, Tables: map[string]int{}, Secrets: []string{}, Left: []string{},
		refused: map[object]string{},
	}
}

type head struct {
	Last uint64 `json:"last_seq"`
	Rows uint64 `json:"rows"`
	Hash string `json:"hash"`
}

type count struct {
	Versions int   `json:"versions"`
	Bytes    int64 `json:"bytes"`
	Uploads  int   `json:"unfinished_uploads"`
}

func (r receipt) write(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
