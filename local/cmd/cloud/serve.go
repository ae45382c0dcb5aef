package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"time"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
)

// begin starts the cloud and lets the companies set the archive up.
func begin(ctx context.Context, cfg config, screen *screen, log *slog.Logger) (*cloud.Cloud, error) {
	screen.say("starting DynamoDB Local, moto and the functions ...")
	c, err := cloud.Start(ctx, cfg.options(log))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: choose another port (-h lists the flags); 0 takes a free one", err)
	}
	if err != nil || c.Sim == nil {
		return c, err
	}
	for _, corp := range c.Sim.Corps() {
		screen.say("%s %s sets the archive up ...", corp.ID(), corp.View().Name)
	}
	if err := c.SetUp(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// lookEvery is how often the live line is renewed.
const lookEvery = 2 * time.Second

// serve runs until ctx ends.
func serve(ctx context.Context, cfg config, screen *screen, log *slog.Logger) error {
	c, err := begin(ctx, cfg, screen, log)
	if err != nil {
		return err
	}
	defer func() {
		screen.done()
		screen.say("stopping ...")
		c.Stop()
		screen.say("stopped")
	}()
	if err := introduce(c, cfg, screen); err != nil {
		return err
	}
	if c.Sim == nil {
		<-ctx.Done()
		return nil
	}
	if !cfg.noChat {
		for _, corp := range c.Sim.Corps() {
			if err := corp.StartChatter(cfg.rate); err != nil {
				return err
			}
		}
	}
	watch(ctx, c, screen)
	return nil
}

// introduce prints where everything is.
func introduce(c *cloud.Cloud, cfg config, screen *screen) error {
	screen.say("")
	screen.say("API          %s", c.GatewayURL)
	screen.say("commands     %s", c.ControlURL)
	if c.Sim != nil {
		screen.say("WeCom        %s   its console: %s/wecom/", c.WeComURL, c.ControlURL)
	} else {
		screen.say("WeCom        %s   (not ours)", c.WeComURL)
	}
	screen.say("logs         %s", c.Logs)
	if cfg.data != "" {
		screen.say("kept in      %s", cfg.data)
	}
	var corps []string
	if c.Sim != nil {
		for _, corp := range c.Sim.Corps() {
			corps = append(corps, corp.ID())
		}
	} else if cfg.corps != "" {
		corps = strings.Split(cfg.corps, ",")
	}
	for _, corp := range corps {
		screen.say("\ntokens of %s", corp)
		for _, role := range []string{people.Admin, people.Reader, people.Auditor, people.Service} {
			token, err := c.API.Token(corp, role)
			if err != nil {
				return err
			}
			screen.say("%-8s %s", role, token)
		}
	}
	screen.say("\nother tokens: curl -d '{\"sub\":\"me\",\"corp\":\"ww...\",\"role\":\"reader\",\"staff\":\"lin.hua\"}' %s/token\n", c.ControlURL)
	return nil
}

// watch keeps the live line until ctx ends.
func watch(ctx context.Context, c *cloud.Cloud, screen *screen) {
	var watchers []*people.Watcher
	for _, corp := range c.Sim.Corps() {
		watchers = append(watchers, &people.Watcher{API: c.API, Corp: corp.ID()})
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		var sent int
		var sum people.Progress
		var troubles []string
		for _, w := range watchers {
			p, err := w.Look(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				troubles = append(troubles, w.Corp+": "+err.Error())
				continue
			}
			sum.Journaled += p.Journaled
			sum.Decoded += p.Decoded
			sum.Undecryptable += p.Undecryptable
			sum.Pending += p.Pending
			sum.Lag = max(sum.Lag, p.Lag)
			if p.Trouble != "" {
				troubles = append(troubles, w.Corp+": "+p.Trouble)
			}
		}
		for _, s := range c.Sim.Stats().Corps {
			sent += s.Sent
		}
		line := fmt.Sprintf("sent %d   journaled %d   decoded %d   waiting %d (%d pages)   lag %v",
			sent, sum.Journaled, sum.Decoded, sum.Undecryptable, sum.Pending, sum.Lag.Round(time.Second))
		if len(troubles) > 0 {
			line += "   TROUBLE " + strings.Join(troubles, ", ")
		}
		screen.show(line)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
