package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/wecom"
)

// onceLimit is for hanging, not for slowness.
const onceLimit = 10 * time.Minute

// once sends messages in every company, one of each kind and large ones among
// them, and reads all of them back through the API.
func once(ctx context.Context, cfg config, screen *screen, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, onceLimit)
	defer cancel()
	c, err := begin(ctx, cfg, screen, log)
	if err != nil {
		return err
	}
	defer c.Stop()
	began := time.Now()
	var errs []error
	for _, corp := range c.Sim.Corps() {
		if _, err := corp.Every(); err != nil {
			return err
		}
		if err := people.SendLarge(corp); err != nil {
			return err
		}
		if _, err := corp.Mixed(cfg.once); err != nil {
			return err
		}
		screen.say("%s sent %d messages", corp.ID(), len(corp.Sent()))
	}
	for _, corp := range c.Sim.Corps() {
		sent := corp.Sent()
		watcher := &people.Watcher{API: c.API, Corp: corp.ID()}
		if err := arrived(ctx, watcher, len(sent)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", corp.ID(), err))
			continue
		}
		if err := compare(ctx, c.API, corp, sent); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", corp.ID(), err))
			continue
		}
		screen.say("%s: %d messages read back as they were sent, byte for byte", corp.ID(), len(sent))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	screen.say("ok, in %v", time.Since(began).Round(100*time.Millisecond))
	return nil
}

// arrived waits until that many records are in the journal and in the view.
func arrived(ctx context.Context, w *people.Watcher, records int) error {
	for {
		p, err := w.Look(ctx)
		switch {
		case err != nil:
			return err
		case p.Journaled >= records && p.Pending == 0:
			return nil
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("of %d messages %d were journaled, %d decoded, %d set aside; trouble %q: %w",
				records, p.Journaled, p.Decoded, p.SetAside, p.Trouble, ctx.Err())
		}
	}
}

func compare(ctx context.Context, api *people.API, corp *wecom.Corp, sent []wecom.Sent) error {
	read, err := people.ReadAll(ctx, api, corp)
	if err != nil {
		return err
	}
	return people.Compare(sent, read)
}
