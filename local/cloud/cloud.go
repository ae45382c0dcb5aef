// Package cloud is a whole AWS account and a WeCom on one machine: DynamoDB
// Local and moto, the functions of template.yaml as they were built for
// Lambda, what invokes them there (API Gateway, SQS pollers, schedules), and a
// simulated WeCom with companies that talk.
//
// It is described by template.yaml alone and reached by the functions through
// their environment alone: nothing in functions/ or shared/ knows it. All
// ports are on the loopback address. It is for people who try the archive
// (command local/cmd/cloud) and for tests that need all of it.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/cloud/gateway"
	"github.com/yunduo-scrm/archive/local/cloud/lambda"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/cloud/queue"
	"github.com/yunduo-scrm/archive/local/cloud/template"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/local/wecom"
)

// Options say how a cloud is. Only Root and Log are needed.
type Options struct {
	// Root is the folder of the repository: of template.yaml and of build/,
	// where the functions' binaries and the worker are.
	Root string
	// Data is a folder for what is kept from run to run: tables, buckets,
	// secrets. Empty means a temporary folder that Stop removes.
	Data string
	// StackName begins the names of all resources; archive if empty. Clouds
	// that share Services need different ones.
	StackName string

	// Listening addresses, on the loopback address; a free port if empty.
	GatewayAddr, WeComAddr, ControlAddr, QueueAddr string

	// Library is the vendor library that functions load; the stand-in, newly
	// built, if empty. Worker is the program that loads it; the one in build/
	// if empty.
	Library, Worker string
	// WeCom is the URL of another WeCom, given to the functions as a proxy. If
	// it is set there is no simulated one, and functions ask for the template's
	// WECOM_API, with TLS, unless Env has another.
	WeCom string
	// Companies are those of the simulated WeCom; two invented ones if nil.
	Companies []wecom.CorpConfig
	// Sim configures the simulated WeCom.
	Sim wecom.Config

	// Tick replaces the period of every schedule of the template, if set.
	Tick time.Duration
	// FailureSpeed divides the time after which failed messages of a queue
	// come again; 1 if zero, which is as deployed.
	FailureSpeed int
	// Concurrency is the most instances of one function, at most what the
	// template allows it; 10 if zero.
	Concurrency int
	// IdleAfter is how long instances may be idle; 1 minute if zero.
	IdleAfter time.Duration
	// Env replaces variables of those functions that have them.
	Env map[string]string

	// Observe, if set, sees every request of a function to a service of AWS,
	// with its body, before it is passed on. It is called concurrently.
	Observe func(function string, r *http.Request, body []byte)

	// Services are DynamoDB Local and moto, where they run already. If nil they
	// are started and stopped. They exclude Data.
	Services *aws.Services
	Log      *slog.Logger
	// ServiceLog takes what DynamoDB Local and moto print; nobody if nil.
	ServiceLog func(line string)
}

// A Cloud is running. Safe for concurrent use.
type Cloud struct {
	// GatewayURL is the API; ControlURL commands of the cloud itself, with
	// WeCom's console below it under /wecom/; WeComURL is where functions
	// reach WeCom.
	GatewayURL, ControlURL, WeComURL string
	// Sim is the simulated WeCom; nil if another is used.
	Sim *wecom.Sim
	// API is the gateway with tokens for every corp and role.
	API *people.API
	// Stack is what the template describes.
	Stack *template.Stack
	// Config reaches the services, past all that imitates Lambda.
	Config sdk.Config
	// Logs is the folder of the functions' logs, one file each.
	Logs string

	options   Options
	services  *aws.Services
	tokens    *gateway.Issuer
	functions map[string]*lambda.Function // by logical id
	tables    map[string]*dynamodb.CreateTableInput

	// undo is what Stop does, in reverse order.
	undo     []func()
	stopOnce sync.Once
}

// Defaults.
const (
	defaultStack       = "archive"
	defaultConcurrency = 10
	defaultIdleAfter   = time.Minute
)

// Start starts a cloud. It runs until Stop; ctx bounds the start only.
func Start(ctx context.Context, o Options) (_ *Cloud, err error) {
	if o.StackName == "" {
		o.StackName = defaultStack
	}
	if o.Concurrency == 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.IdleAfter == 0 {
		o.IdleAfter = defaultIdleAfter
	}
	if o.FailureSpeed == 0 {
		o.FailureSpeed = 1
	}
	if o.Services != nil && o.Data != "" {
		return nil, errors.New("services that run already keep their tables where they please: Data cannot be set")
	}
	c := &Cloud{options: o, functions: map[string]*lambda.Function{}}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// then notes what Stop has to do.
func (c *Cloud) then(f func()) { c.undo = append(c.undo, f) }

// Stop stops everything that Start started, and waits for it. It may be
// called more than once.
func (c *Cloud) Stop() {
	c.stopOnce.Do(func() {
		for _, f := range slices.Backward(c.undo) {
			f()
		}
	})
}

func (c *Cloud) start(ctx context.Context) error {
	o := &c.options
	source, err := os.ReadFile(filepath.Join(o.Root, "template.yaml"))
	if err != nil {
		return fmt.Errorf("%q is not the folder of the repository: %w", o.Root, err)
	}
	if c.tables, err = aws.Tables(source); err != nil {
		return err
	}
	dir := o.Data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "yunduo-archive-"); err != nil {
			return err
		}
		c.then(func() { _ = os.RemoveAll(dir) })
	}
	c.Logs = filepath.Join(dir, "logs")
	if err := os.MkdirAll(c.Logs, 0o755); err != nil {
		return err
	}

	// The addresses come first: the template needs them.
	gatewayAt, err := c.listen(o.GatewayAddr)
	if err != nil {
		return err
	}
	queueAt, err := c.listen(o.QueueAddr)
	if err != nil {
		return err
	}
	controlAt, err := c.listen(o.ControlAddr)
	if err != nil {
		return err
	}
	c.GatewayURL, c.ControlURL = "http://"+gatewayAt.Addr().String(), "http://"+controlAt.Addr().String()
	queueURL := "http://" + queueAt.Addr().String()

	if err := c.startWeCom(); err != nil {
		return err
	}
	if err := c.startServices(ctx, dir); err != nil {
		return err
	}
	env := map[string]string{}
	for _, v := range c.services.Env() {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	moto, err := url.Parse(env["AWS_ENDPOINT_URL_SQS"])
	if err != nil {
		return err
	}
	env["AWS_ENDPOINT_URL_SQS"] = queueURL

	c.Stack, err = template.Read(source, template.Options{
		StackName: o.StackName, Region: c.Config.Region, QueueEndpoint: queueURL,
		Parameters: map[string]string{
			"TrustedIps": "127.0.0.1", "PublicUrl": c.GatewayURL, "JwtIssuer": c.GatewayURL, "WecomProxy": c.WeComURL,
			"AllowedOrigins": "*", // whatever page is being made on this machine
		},
	})
	if err != nil {
		return err
	}
	if err := c.provision(ctx); err != nil {
		return err
	}
	if o.Data != "" {
		if err := c.startKeeper(ctx, dir); err != nil {
			return err
		}
	}

	front := queue.NewFront(moto, time.Now, o.Log)
	c.serve("queues", queueAt, front)
	if err := c.startFunctions(ctx, dir, env); err != nil {
		return err
	}
	if err := c.startGateway(gatewayAt); err != nil {
		return err
	}
	c.serve("control", controlAt, c.control())
	return c.startTriggers(front)
}

// listen listens on addr, or on a free port.
func (c *Cloud) listen(addr string) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("address %q: only loopback addresses are served, such as 127.0.0.1", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	c.then(func() { _ = l.Close() })
	return l, nil
}

// serve answers requests until Stop.
func (c *Cloud) serve(name string, l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(c.options.Log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.options.Log.Error("server ended", "server", name, "err", err)
		}
	}()
	c.then(func() {
		_ = server.Close()
		<-done
	})
}

func (c *Cloud) startWeCom() error {
	o := &c.options
	if o.WeCom != "" {
		c.WeComURL = o.WeCom
		return nil
	}
	l, err := c.listen(o.WeComAddr)
	if err != nil {
		return err
	}
	c.WeComURL = "http://" + l.Addr().String()
	c.Sim = wecom.New(o.Sim)
	c.then(c.Sim.Close)
	companies := o.Companies
	if companies == nil {
		companies = Invented()
	}
	for _, company := range companies {
		if _, err := c.Sim.AddCorp(company); err != nil {
			return err
		}
	}
	c.serve("WeCom", l, c.Sim.Handler())
	return nil
}

// Invented are two companies that nobody has set up yet.
func Invented() []wecom.CorpConfig {
	return []wecom.CorpConfig{
		{ID: "ww0123456789abcdef", Name: "云朵课堂", Crowd: wecom.Crowd{Staff: 8, Customers: 24, Rooms: 6}},
		// Its seqs are where 32 bits end: nobody may count on less.
		{ID: "wwfedcba9876543210", Name: "朝阳眼镜", FirstSeq: 1<<32 - 100, FirstKeyVersion: 3, Crowd: wecom.Crowd{Staff: 5, Customers: 12, Rooms: 3}},
	}
}

func (c *Cloud) startServices(ctx context.Context, dir string) error {
	if c.services = c.options.Services; c.services == nil {
		c.options.Log.Info("starting DynamoDB Local and moto")
		options := aws.Options{Log: c.options.ServiceLog}
		if c.options.Data != "" {
			options.Dir = filepath.Join(dir, "dynamodb")
		}
		var err error
		if c.services, err = aws.Start(ctx, options); err != nil {
			return err
		}
		c.then(c.services.Stop)
	}
	c.Config = c.services.Config()
	return nil
}

// startFunctions makes the functions; their processes start with their first
// events.
func (c *Cloud) startFunctions(ctx context.Context, dir string, services map[string]string) error {
	o := &c.options
	replace := maps.Clone(o.Env)
	if replace == nil {
		replace = map[string]string{}
	}
	if c.Sim != nil && replace["WECOM_API"] == "" {
		// Without TLS, so that the simulated WeCom can play the host as a proxy.
		// On the way to another one a secret would be readable.
		replace["WECOM_API"] = "http://qyapi.weixin.qq.com"
	}
	var err error
	worker := o.Worker
	if worker == "" {
		worker = filepath.Join(o.Root, "build", "FinanceSdkLayer", "finance-sdk", "worker")
	}
	if replace["SDK_WORKER"], err = existing(worker, "make build"); err != nil {
		return err
	}
	library := o.Library
	if library == "" {
		if library, err = standin.Build(ctx, dir); err != nil {
			return err
		}
	}
	if replace["SDK_LIBRARY"], err = existing(library, "name a library that is there"); err != nil {
		return err
	}

	var missing []error
	for _, f := range c.Stack.Functions {
		binary, err := existing(filepath.Join(o.Root, "build", f.ID, f.Handler), "make build")
		if err != nil {
			missing = append(missing, err)
			continue
		}
		env := maps.Clone(services)
		for name, value := range f.Environment {
			if other, ok := replace[name]; ok {
				value = other
			}
			env[name] = value
		}
		if o.Observe != nil {
			if err := c.observe(f.ID, env); err != nil {
				return err
			}
		}
		out, err := os.OpenFile(filepath.Join(c.Logs, f.ID+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		function := lambda.New(lambda.Config{
			Name: f.Name, ARN: f.ARN, Binary: binary, Handler: f.Handler, MemorySize: f.MemorySize, Timeout: f.Timeout,
			LogFormat: f.LogFormat, LogLevel: f.LogLevel, Env: env,
			Concurrency: o.Concurrency, IdleAfter: o.IdleAfter, Output: out, Log: o.Log,
		})
		c.functions[f.ID] = function
		c.then(func() {
			function.Close()
			_ = out.Close()
		})
	}
	return errors.Join(missing...)
}

// existing returns the absolute path of a file, or says how to get it.
func existing(path, how string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	switch info, err := os.Stat(abs); {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s is missing: %s", path, how)
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is no file", path)
	}
	return abs, nil
}

func (c *Cloud) startGateway(l net.Listener) error {
	var err error
	if c.tokens, err = gateway.NewIssuer(c.Stack.API.Issuer, c.Stack.API.Audience, time.Now); err != nil {
		return err
	}
	var routes []gateway.Route
	for _, f := range c.Stack.Functions {
		for _, r := range f.Routes {
			routes = append(routes, gateway.Route{Method: r.Method, Path: r.Path, Open: r.Authorizer == "", Function: c.functions[f.ID]})
		}
	}
	c.serve("API", l, gateway.New(gateway.Config{
		Routes: routes, CORS: gateway.CORS(c.Stack.API.CORS), Tokens: c.tokens, Now: time.Now, NewID: lambda.NewID, Log: c.options.Log,
	}))
	c.API = &people.API{
		Base: c.GatewayURL, Client: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute},
		Token: func(corp, role string) (string, error) {
			return c.Token(map[string]any{"sub": "local-" + role, "corp": corp, "role": role})
		},
	}
	return nil
}

// tokenLife is longer than anybody looks at a local cloud.
const tokenLife = 30 * 24 * time.Hour

// Token signs a token with the claims, such as sub, corp, role and staff.
func (c *Cloud) Token(claims map[string]any) (string, error) {
	return c.tokens.Token(tokenLife, claims)
}

// startTriggers lets queues and schedules invoke the functions.
func (c *Cloud) startTriggers(front *queue.Front) error {
	ctx, cancel := context.WithCancel(context.Background())
	var triggers sync.WaitGroup
	c.then(func() {
		cancel()
		triggers.Wait()
	})
	client := sqs.NewFromConfig(c.Config)
	for _, f := range c.Stack.Functions {
		function := c.functions[f.ID]
		for _, s := range f.Sources {
			n := slices.IndexFunc(c.Stack.Queues, func(q template.Queue) bool { return q.ARN == s.QueueARN })
			if n < 0 {
				return fmt.Errorf("%s takes messages from %s, which the template does not make", f.ID, s.QueueARN)
			}
			q := c.Stack.Queues[n]
			source := &queue.Source{
				Client: client, URL: q.URL, ARN: q.ARN, Region: c.Config.Region,
				BatchSize: s.BatchSize, Concurrency: min(s.Concurrency, c.options.Concurrency), PartialBatches: s.PartialBatches,
				Visibility: q.Visibility / time.Duration(c.options.FailureSpeed), Timeout: f.Timeout,
				Invoke: function.Invoke, Bell: front.Bell(q.Name), Log: c.options.Log,
			}
			triggers.Go(func() { source.Run(ctx) })
		}
		for _, s := range f.Schedules {
			if c.options.Tick > 0 {
				s.Every = c.options.Tick
			}
			triggers.Go(func() { c.schedule(ctx, function, f.ID, s) })
		}
	}
	return nil
}

// Function finds a function by its logical id; nil if there is none.
func (c *Cloud) Function(id string) *lambda.Function { return c.functions[id] }

// Kill kills one instance of a function with all its processes, a busy one if
// there is such; false if there is no instance.
func (c *Cloud) Kill(id string) bool {
	f := c.functions[id]
	return f != nil && f.Kill()
}

// SetUp lets the admins of all companies of the simulated WeCom set the
// archive up. With kept data each goes on from what is kept.
func (c *Cloud) SetUp(ctx context.Context) error {
	for _, corp := range c.Sim.Corps() {
		if c.options.Data != "" {
			if err := people.Resume(ctx, c.API, corp); err != nil {
				return fmt.Errorf("going on with %s: %w", corp.ID(), err)
			}
		}
		if err := people.SetUp(ctx, c.API, corp); err != nil {
			return fmt.Errorf("setting up %s: %w", corp.ID(), err)
		}
	}
	return nil
}
