package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
)

// begin starts the cloud and lets the companies set the archive up.
func begin(ctx context.Context, cfg config, screen *screen, log *slog.Logger) (*cloud.Cloud, error) {
	screen.say("starting DynamoDB Local, moto and the functions ...")
	c, err := cloud.Start(ctx, cfg.options(log, func(line string) { screen.say("%s ...", line) }))
	if err == nil && c.Sim != nil {
		if err = setUp(ctx, c, screen); err != nil {
			c.Stop()
		}
	}
	switch taken := (*net.OpError)(nil); {
	case err == nil:
		return c, nil
	case errors.Is(ctx.Err(), context.Canceled):
		// What failed then says nothing but that.
		return nil, errors.New("interrupted before it was ready")
	case errors.Is(err, syscall.EADDRINUSE) && errors.As(err, &taken):
		return nil, fmt.Errorf("%v is in use: choose another port with %s; 0 takes a free one", taken.Addr, cfg.portFlag(taken.Addr))
	}
	return nil, err
}

func setUp(ctx context.Context, c *cloud.Cloud, screen *screen) error {
	for _, corp := range c.Sim.Corps() {
		screen.say("%s %s sets the archive up ...", corp.ID(), corp.Details().Name)
	}
	return c.SetUp(ctx)
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
	live := newLive(c)
	if err := live.start(ctx); err != nil {
		return fmt.Errorf("read how far the archive is: %w", err)
	}
	if live.kept > 0 {
		screen.say("%d messages were there already: they count as sent\n", live.kept)
	}
	if !cfg.noChat {
		for _, corp := range c.Sim.Corps() {
			if err := corp.StartChatter(cfg.rate); err != nil {
				return err
			}
		}
	}
	live.watch(ctx, screen)
	return nil
}

// introduce prints the console's address, tokens, and below them, where they are
// seen, the other addresses.
func introduce(c *cloud.Cloud, cfg config, screen *screen) error {
	screen.say("\nconsole      %s   open it in a browser and choose a user", c.ConsoleURL)
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
	screen.say("API          %s", c.GatewayURL)
	screen.say("sign-in      %s   prepared users, no password", c.LoginURL)
	screen.say("commands     %s   lists them", c.ControlURL)
	if c.Sim != nil {
		screen.say("WeCom        %s   its console: %s/wecom/", c.WeComURL, c.ControlURL)
	} else {
		screen.say("WeCom        %s   (not ours)", c.WeComURL)
	}
	screen.say("logs         %s", c.Logs)
	if cfg.data != "" {
		screen.say("kept in      %s", cfg.data)
	}
	screen.say("console      %s", c.ConsoleURL)
	screen.say("Ctrl-C stops all of it\n")
	return nil
}

// live is the line of counts, of all companies together.
type live struct {
	cloud    *cloud.Cloud
	watchers []*people.Watcher
	// kept is what the journal held at the start. The simulated WeCom, which
	// counts from nothing, sent it in earlier runs; what else those sent is gone
	// with them.
	kept int
}

func newLive(c *cloud.Cloud) *live {
	l := &live{cloud: c}
	for _, corp := range c.Sim.Corps() {
		l.watchers = append(l.watchers, &people.Watcher{API: c.API, Corp: corp.ID()})
	}
	return l
}

// start has to come before anybody says anything.
func (l *live) start(ctx context.Context) error {
	for _, w := range l.watchers {
		p, err := w.Look(ctx)
		if err != nil {
			return err
		}
		l.kept += p.Journaled
	}
	return nil
}

// watch keeps the line until ctx ends.
func (l *live) watch(ctx context.Context, screen *screen) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		line := l.line(ctx)
		if ctx.Err() != nil {
			return
		}
		screen.show(line)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// line looks at everything. Messages wait from the journal to the view.
func (l *live) line(ctx context.Context) string {
	var sum people.Progress
	var troubles []string
	for _, w := range l.watchers {
		p, err := w.Look(ctx)
		if err != nil {
			troubles = append(troubles, w.Corp+": "+err.Error())
			continue
		}
		sum.Journaled += p.Journaled
		sum.Decoded += p.Decoded
		sum.SetAside += p.SetAside
		sum.Lag = max(sum.Lag, p.Lag)
		if p.Trouble != "" {
			troubles = append(troubles, w.Corp+": "+p.Trouble)
		}
	}
	sent := l.kept
	for _, s := range l.cloud.Sim.Stats().Corps {
		sent += s.Sent
	}
	line := fmt.Sprintf("sent %d   journaled %d   decoded %d   waiting %d   lag %v",
		sent, sum.Journaled, sum.Decoded, sum.Journaled-sum.Decoded-sum.SetAside, sum.Lag.Round(time.Second))
	if sum.SetAside > 0 {
		line += fmt.Sprintf("   set_aside %d", sum.SetAside)
	}
	if len(troubles) > 0 {
		line += "   TROUBLE " + strings.Join(troubles, ", ")
	}
	return line
}
