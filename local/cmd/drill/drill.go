package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/local/pipeline"
	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

const corpID = "ww0123456789abcdef"

// kept are the tables that a restoration copies, in this order: the ledger first
// and the settings last, because the settings start everything. The table of
// messages is built again.
var kept = []string{"LedgerTable", "ReadingsTable", "ConsentsTable", "ContactsTable", "MediaTable", "CorpsTable"}

// drill is one practice.
type drill struct {
	root            string // of the repository
	config          sdk.Config
	worker, library string
	environment     []string // by which copytable finds the local services
	messages        int
	say             func(format string, args ...any)
	damage          func(ctx context.Context, backup *stores) error // what a test breaks in the backup; nil for nothing

	sim  *wecom.Sim
	corp *wecom.Corp
}

func (d *drill) run(ctx context.Context) error {
	d.sim = wecom.New(wecom.Config{Seed: 1, PullsPerMinute: 1_000_000})
	defer d.sim.Close()
	var err error
	if d.corp, err = d.sim.AddCorp(wecom.CorpConfig{ID: corpID, ScopeAll: true, Crowd: wecom.Crowd{Staff: 6, Customers: 20, Rooms: 4}}); err != nil {
		return err
	}
	original, backup, restored := newStores(d.config), newStores(d.config), newStores(d.config)
	for _, s := range []*stores{original, backup, restored} {
		if err := s.create(ctx, filepath.Join(d.root, "template.yaml")); err != nil {
			return err
		}
	}
	if err := d.live(ctx, original); err != nil {
		return err
	}
	begun := time.Now()
	if err := d.move(ctx, original, backup); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	d.say("backed up settings, keys, names, consents, readings, ledger and journal in %v", since(begun))
	late, err := d.afterBackup(ctx, original)
	if err != nil {
		return err
	}
	if err := original.destroy(ctx); err != nil {
		return err
	}
	d.say("lost: every table, secret and object of the stack, and with them %d messages that are younger than the backup", late)

	if d.damage != nil {
		if err := d.damage(ctx, backup); err != nil {
			return err
		}
	}
	begun = time.Now()
	if err := d.move(ctx, backup, restored); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	d.say("restored the backup into fresh stores in %v", since(begun))
	return d.verify(ctx, restored)
}

func since(t time.Time) time.Duration { return time.Since(t).Round(10 * time.Millisecond) }

// pipeline pulls and decodes for the company with the stores.
func (d *drill) pipeline(s *stores) (*pipeline.Pipeline, error) {
	return pipeline.New(pipeline.Options{
		AWS: d.config, Corps: s.tables["CorpsTable"], Ledger: s.tables["LedgerTable"], Messages: s.tables["MessagesTable"],
		Consents: s.tables["ConsentsTable"], Media: s.tables["MediaTable"], Bucket: s.bucket, Secrets: s.secrets,
		Worker: d.worker, Library: d.library, WeCom: d.sim,
	})
}

// live sets the company up and archives its chats, under two keys.
func (d *drill) live(ctx context.Context, s *stores) error {
	p, err := d.pipeline(s)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.SetUp(ctx, d.corp); err != nil {
		return err
	}
	for _, rotate := range []bool{false, true} {
		if rotate {
			if err := p.AddKey(ctx, d.corp); err != nil {
				return err
			}
		}
		if err := d.chat(ctx, p, d.messages/2); err != nil {
			return err
		}
	}
	names := dynamostore.NewContacts(dynamodb.NewFromConfig(d.config), s.tables["ContactsTable"])
	person := directory.Person{ID: d.corp.Details().Staff[0].UserID, Name: "林华"}
	if err := names.GivePeople(ctx, corpID, []directory.Person{person}); err != nil {
		return err
	}
	consents, at := dynamostore.NewConsents(dynamodb.NewFromConfig(d.config), s.tables["ConsentsTable"], nil), time.Now().UTC().Truncate(time.Second)
	consent := archive.Consent{Corp: corpID, Contact: "wm-drill", Member: person.ID, Status: archive.Agreed, ChangedAt: at, Source: archive.ConsentEvent, At: at}
	if err := consents.RecordConsents(ctx, []archive.Consent{consent}); err != nil {
		return err
	}
	readings := dynamostore.NewReadings(dynamodb.NewFromConfig(d.config), s.tables["ReadingsTable"])
	if err := readings.RecordReading(ctx, archive.Reading{Corp: corpID, By: "auditor", Role: "auditor", List: archive.DayList, Day: archive.DayOf(time.Now()), At: time.Now().UTC()}); err != nil {
		return err
	}
	head, err := p.Ledger.Head(ctx, corpID)
	if err != nil {
		return err
	}
	d.say("%s: %d messages in %d pages, two keys", corpID, len(d.corp.Sent()), head.Rows)
	return nil
}

// chat lets the company send messages, and archives them.
func (d *drill) chat(ctx context.Context, p *pipeline.Pipeline, n int) error {
	if _, err := d.corp.Mixed(n); err != nil {
		return err
	}
	return errors.Join(p.Pull(ctx, corpID), p.Decode(ctx))
}

// afterBackup archives messages that the backup does not have. WeCom still has
// them: it keeps messages for five days.
func (d *drill) afterBackup(ctx context.Context, s *stores) (int, error) {
	p, err := d.pipeline(s)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	const n = 20
	return n, d.chat(ctx, p, n)
}

// move copies tables, secrets and objects from one set of stores to another. A table
// without an item would show nothing, so it fails: the company has an item in each.
func (d *drill) move(ctx context.Context, from, to *stores) error {
	var empty []string
	for _, id := range kept {
		there, err := items(ctx, d.config, from.tables[id])
		if err != nil {
			return err
		}
		if len(there) == 0 {
			empty = append(empty, id)
		}
	}
	if len(empty) > 0 {
		return fmt.Errorf("no item in %s", strings.Join(empty, ", "))
	}
	for _, id := range kept {
		if err := d.copyTable(ctx, from.tables[id], to.tables[id]); err != nil {
			return err
		}
		if err := sameItems(ctx, d.config, from.tables[id], to.tables[id]); err != nil {
			return err
		}
	}
	return errors.Join(from.copySecrets(ctx, to), from.copyObjects(ctx, to))
}

// copyTable runs the command that an operator runs.
func (d *drill) copyTable(ctx context.Context, from, to string) error {
	cmd := exec.CommandContext(ctx, "go", "run", "./cmd/copytable", "-from", from, "-from-region", d.config.Region, "-to", to, "-to-region", d.config.Region)
	cmd.Dir, cmd.Env = d.root, append(os.Environ(), d.environment...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("copytable: %w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// verify builds the view again, continues pulling, verifies the company, and
// compares what readers see with what was sent.
func (d *drill) verify(ctx context.Context, s *stores) error {
	p, err := d.pipeline(s)
	if err != nil {
		return err
	}
	defer p.Close()
	begun := time.Now()
	rebuilt, err := job(ctx, p, decode.Replay{By: "drill"})
	if err != nil {
		return fmt.Errorf("build the view again: %w", err)
	}
	d.say("built the view again from %d pages in %v", rebuilt.Pages, since(begun))
	if err := d.chat(ctx, p, 20); err != nil {
		return fmt.Errorf("pull after the restoration: %w", err)
	}
	d.say("pulled what came after the backup again, and new messages")
	verified, err := job(ctx, p, decode.Replay{By: "drill", Verify: true})
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	for _, f := range verified.Findings {
		d.say("finding: %+v", f)
	}
	if verified.Faults > 0 {
		return fmt.Errorf("verification: got %d findings, want none", verified.Faults)
	}
	n, err := compare(ctx, p, d.corp)
	if err != nil {
		return err
	}
	d.say("verified %d pages: chain, journal and view agree, and all %d messages are as they were sent", verified.Pages, n)
	return nil
}

// job runs a replay or a verification to its end.
func job(ctx context.Context, p *pipeline.Pipeline, r decode.Replay) (decode.Replay, error) {
	r.Corp, r.CreatedAt = corpID, time.Now().UTC()
	r.UpdatedAt, r.ID = r.CreatedAt, r.CreatedAt.Format("20060102T150405.000Z")+"-"+rand.Text()
	if err := p.Replayer.StartReplay(ctx, r); err != nil {
		return r, err
	}
	if err := p.Decode(ctx); err != nil {
		return r, err
	}
	r, err := p.Ledger.Replay(ctx, corpID, r.ID)
	if err == nil && !r.Whole() {
		err = errors.New("the job ended without a result")
	}
	return r, err
}

// compare compares every message that WeCom archived with the view.
func compare(ctx context.Context, p *pipeline.Pipeline, corp *wecom.Corp) (int, error) {
	stored, err := messages(ctx, p, corp)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, sent := range corp.Sent() {
		if sent.LeftOut != "" {
			continue
		}
		n++
		if !bytes.Equal(stored[sent.Seq], sent.Plain) {
			return n, fmt.Errorf("message with seq %d: got %d bytes, want the %d sent bytes", sent.Seq, len(stored[sent.Seq]), len(sent.Plain))
		}
	}
	if n == 0 || len(stored) != n {
		return n, fmt.Errorf("got %d messages, want %d", len(stored), n)
	}
	return n, nil
}

// messages reads the view as readers do: the days of each member, and the
// conversations of each day.
func messages(ctx context.Context, p *pipeline.Pipeline, corp *wecom.Corp) (map[uint64][]byte, error) {
	stored, seen := map[uint64][]byte{}, map[archive.ConversationID]bool{}
	for _, member := range corp.Details().Staff {
		days, err := p.View.ActiveDays(ctx, corpID, member.UserID, "", 1000)
		if err != nil {
			return nil, err
		}
		for _, day := range days {
			for _, conversation := range day.Conversations {
				if seen[conversation] {
					continue
				}
				seen[conversation] = true
				list, more, err := p.View.Messages(ctx, corpID, conversation, archive.MessageQuery{Limit: 1000, MaxBytes: 1 << 30})
				if err != nil || more {
					return nil, errors.Join(fmt.Errorf("messages of %s: got more than 1000: %t", conversation, more), err)
				}
				for _, m := range list {
					stored[m.Seq] = m.Raw
				}
			}
		}
	}
	return stored, nil
}
