// Package cloud runs a whole AWS account and a WeCom on one machine. The account
// has DynamoDB Local, moto, the functions of template.yaml as built for Lambda,
// and everything that invokes the functions: API Gateway, SQS pollers and
// schedules. The WeCom is simulated, with companies that chat.
//
// template.yaml alone describes the account. The functions reach it only through
// their environment: nothing in functions/ or shared/ knows this package. All
// ports are on the loopback address.
//
// The package serves people who try the archive (command local/cmd/cloud) and
// tests that need the whole archive.
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
	"github.com/yunduo-scrm/archive/local/cloud/login"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/cloud/queue"
	"github.com/yunduo-scrm/archive/local/cloud/template"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/local/wecom"
)

// Options describe a cloud. Root and Log are required.
type Options struct {
	// Root is the folder of the repository. It contains template.yaml, and
	// build/ with the functions' binaries and the worker.
	Root string
	// Data is the folder of the data that later runs find again: tables,
	// buckets and secrets. Empty means a temporary folder that Stop removes.
	Data string
	// StackName begins the names of all resources. Empty means archive. Clouds
	// that share Services need different names.
	StackName string

	// The listening addresses must be loopback addresses. Empty means
	// 127.0.0.1 with a free port.
	GatewayAddr, WeComAddr, ControlAddr, QueueAddr, LoginAddr string

	// Library is the vendor library that the functions load. Empty means the
	// stand-in, which Start builds. Worker is the program that loads the
	// library. Empty means the worker in build/.
	Library, Worker string
	// WeCom is the URL of another WeCom, which the functions use as a proxy.
	// Empty means a simulated WeCom. With another WeCom, the functions call the
	// template's WECOM_API with TLS, unless Env replaces WECOM_API.
	WeCom string
	// Companies are the companies of the simulated WeCom. Nil means two
	// invented companies.
	Companies []wecom.CorpConfig
	// Corps are the corpids for which people can sign in if another WeCom is used.
	Corps []string
	// Sim configures the simulated WeCom.
	Sim wecom.Config

	// Tick replaces the period of every schedule of the template, unless Tick
	// is zero.
	Tick time.Duration
	// FailureSpeed divides the time after which failed messages of a queue
	// return. 0 means 1, which is the time of the deployed archive.
	FailureSpeed int
	// Concurrency limits the instances of one function, in addition to the
	// template's own limit. 0 means 10.
	Concurrency int
	// IdleAfter is how long instances may be idle. 0 means 1 minute.
	IdleAfter time.Duration
	// Env replaces the value of a variable in each function that has the
	// variable.
	Env map[string]string

	// Observe, unless nil, receives every request of a function to an AWS
	// service, with the body, before the service receives it. Calls are
	// concurrent.
	Observe func(function string, r *http.Request, body []byte)

	// Services are a running DynamoDB Local and moto. If nil, the cloud starts
	// and stops its own. Services and Data exclude each other.
	Services *aws.Services
	Log      *slog.Logger
	// ServiceLog receives the output of DynamoDB Local and moto, unless nil.
	ServiceLog func(line string)
}

// A Cloud is a running local cloud. Safe for concurrent use.
type Cloud struct {
	// GatewayURL is the URL of the API. ControlURL is the URL of the cloud's
	// own commands, with WeCom's console below /wecom/. WeComURL is the URL at
	// which the functions reach WeCom. ConsoleURL is the web console's, and
	// LoginURL the issuer's, where people sign in to it.
	GatewayURL, ControlURL, WeComURL, ConsoleURL, LoginURL string
	// Sim is the simulated WeCom. It is nil with another WeCom.
	Sim *wecom.Sim
	// API calls the API with tokens for every corp and role.
	API *people.API
	// Stack is what the template describes.
	Stack *template.Stack
	// Config reaches the services directly, without the imitation of Lambda.
	Config sdk.Config
	// Logs is the folder of the functions' logs, with one file per function.
	Logs string

	options   Options
	temp      string // has a folder for each function
	services  *aws.Services
	tokens    *gateway.Issuer
	functions map[string]*lambda.Function // by logical id
	bus       *bus
	tables    map[string]*dynamodb.CreateTableInput

	// undo holds the steps of Stop, which Stop runs in reverse order.
	undo     []func()
	stopOnce sync.Once
}

// Defaults.
const (
	defaultStack       = "archive"
	defaultConcurrency = 10
	defaultIdleAfter   = time.Minute
)

// Start starts a cloud, which runs until Stop. ctx limits the start only.
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
		return nil, errors.New("options Services and Data exclude each other: running services have their own data folder")
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

// onStop adds a step to Stop.
func (c *Cloud) onStop(f func()) { c.undo = append(c.undo, f) }

// Stop stops everything that Start started, and waits until it has ended. Stop
// may be called more than once.
func (c *Cloud) Stop() {
	c.stopOnce.Do(func() {
		for _, f := range slices.Backward(c.undo) {
			f()
		}
	})
}

// start starts all parts. If a part fails, Stop ends the parts before it.
func (c *Cloud) start(ctx context.Context) error {
	o := &c.options
	source, err := os.ReadFile(filepath.Join(o.Root, "template.yaml"))
	if err != nil {
		return fmt.Errorf("%q is not the folder of the repository: %w", o.Root, err)
	}
	if c.tables, err = aws.Tables(source); err != nil {
		return err
	}
	dir, err := c.makeFolders()
	if err != nil {
		return err
	}

	// The addresses come first, because the template needs them.
	var gatewayAt, queueAt, busAt, controlAt, loginAt net.Listener
	for _, at := range []struct {
		addr string
		l    *net.Listener
	}{{o.GatewayAddr, &gatewayAt}, {o.QueueAddr, &queueAt}, {"", &busAt}, {o.ControlAddr, &controlAt}, {o.LoginAddr, &loginAt}} {
		if *at.l, err = c.listen(at.addr); err != nil {
			return err
		}
	}
	c.GatewayURL, c.ControlURL = "http://"+gatewayAt.Addr().String(), "http://"+controlAt.Addr().String()
	c.ConsoleURL, c.LoginURL = c.GatewayURL+"/console", "http://"+loginAt.Addr().String()
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
	env["AWS_ENDPOINT_URL_SQS"], env["AWS_ENDPOINT_URL_EVENTBRIDGE"] = queueURL, "http://"+busAt.Addr().String()

	c.Stack, err = template.Read(source, template.Options{
		StackName: o.StackName, Region: c.Config.Region, QueueEndpoint: queueURL,
		Parameters: map[string]string{
			"TrustedIps": "127.0.0.1", "PublicUrl": c.GatewayURL, "JwtIssuer": c.LoginURL, "ConsoleClientId": consoleClient, "ConsoleParents": c.ControlURL,
			"WecomProxy":     c.WeComURL,
			"AllowedOrigins": "*",        // any page that is developed on this machine
			"Trail":          "existing", // no calls of an account to report
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
	c.bus = newBus(moto, time.Now)
	c.serve("event bus", busAt, c.bus)
	if err := c.startFunctions(ctx, dir, env); err != nil {
		return err
	}
	if err := c.startGateway(gatewayAt); err != nil {
		return err
	}
	c.startLogin(loginAt)
	c.serve("control", controlAt, c.control())
	return c.startTriggers(front)
}

// makeFolders makes the data folder and the folder of logs in it. It returns the
// data folder.
func (c *Cloud) makeFolders() (dir string, err error) {
	if dir = c.options.Data; dir == "" {
		if dir, err = os.MkdirTemp("", "yunduo-archive-"); err != nil {
			return "", err
		}
		c.onStop(func() { _ = os.RemoveAll(dir) })
	}
	// The functions run in other folders.
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	c.Logs, c.temp = filepath.Join(dir, "logs"), filepath.Join(dir, "tmp")
	return dir, os.MkdirAll(c.Logs, 0o755)
}

// listen listens on addr, or on a free port if addr is empty.
func (c *Cloud) listen(addr string) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("address %q is not a loopback address such as 127.0.0.1", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	c.onStop(func() { _ = l.Close() })
	return l, nil
}

// serve answers the listener's requests until Stop.
func (c *Cloud) serve(name string, l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(c.options.Log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.options.Log.Error("server stopped", "server", name, "err", err)
		}
	}()
	c.onStop(func() {
		_ = server.Close()
		<-done
	})
}

// startWeCom starts the simulated WeCom, unless the options name another WeCom.
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
	c.onStop(c.Sim.Close)
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

// Invented returns two invented companies whose archive is not set up.
func Invented() []wecom.CorpConfig {
	return []wecom.CorpConfig{
		{ID: "ww0123456789abcdef", Name: "云朵课堂", Crowd: wecom.Crowd{Staff: 8, Customers: 24, Rooms: 6}},
		// The first seqs are just below 1<<32, to show that a seq needs 64 bits.
		{ID: "wwfedcba9876543210", Name: "朝阳眼镜", FirstSeq: 1<<32 - 100, FirstKeyVersion: 3, Crowd: wecom.Crowd{Staff: 5, Customers: 12, Rooms: 3}},
	}
}

// startServices starts DynamoDB Local and moto, unless the options name running
// services.
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
		c.onStop(c.services.Stop)
	}
	c.Config = c.services.Config()
	return nil
}

// startFunctions makes the functions. The process of a function starts with the
// first event. The error names all missing binaries at once.
func (c *Cloud) startFunctions(ctx context.Context, dir string, services map[string]string) error {
	replace, err := c.replacements(ctx, dir)
	if err != nil {
		return err
	}
	var missing []error
	for _, f := range c.Stack.Functions {
		binary, err := existing(filepath.Join(c.options.Root, "build", f.ID, f.Handler), "make build")
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
		if _, proxied := f.Environment["WECOM_PROXY"]; !proxied && env["WECOM_API"] == proxiedWeCom {
			env["WECOM_API"] = c.WeComURL // the open way: the function asks WeCom without the fixed address
		}
		env["TMPDIR"] = c.TempDir(f.ID)
		if err := os.MkdirAll(env["TMPDIR"], 0o755); err != nil {
			return err
		}
		if err := c.startFunction(f, binary, env); err != nil {
			return err
		}
	}
	return errors.Join(missing...)
}

// proxiedWeCom is the address of the simulated WeCom for functions with a proxy,
// which the simulated WeCom is.
const proxiedWeCom = "http://qyapi.weixin.qq.com"

// replacements are the values that replace those of the template in the
// environment of functions.
func (c *Cloud) replacements(ctx context.Context, dir string) (map[string]string, error) {
	o := &c.options
	replace := maps.Clone(o.Env)
	if replace == nil {
		replace = map[string]string{}
	}
	if c.Sim != nil && replace["WECOM_API"] == "" {
		// The simulated WeCom answers as a proxy, and can do so only without
		// TLS. Another WeCom gets TLS, because the network could read a secret.
		replace["WECOM_API"] = proxiedWeCom
	}
	var err error
	worker := o.Worker
	if worker == "" {
		worker = filepath.Join(o.Root, "build", "FinanceSdkLayer", "finance-sdk", "worker")
	}
	if replace["SDK_WORKER"], err = existing(worker, "make build"); err != nil {
		return nil, err
	}
	library := o.Library
	if library == "" {
		if library, err = standin.Build(ctx, dir); err != nil {
			return nil, err
		}
	}
	if replace["SDK_LIBRARY"], err = existing(library, "name an existing library"); err != nil {
		return nil, err
	}
	return replace, nil
}

func (c *Cloud) startFunction(f template.Function, binary string, env map[string]string) error {
	o := &c.options
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
	c.onStop(func() {
		function.Close()
		_ = out.Close()
	})
	return nil
}

// existing returns the absolute path of a file. If the file is missing, the
// error says how to get it.
func existing(path, how string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	switch info, err := os.Stat(abs); {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s missing: %s", path, how)
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a file", path)
	}
	return abs, nil
}

// consoleClient is how the issuer knows the console.
const consoleClient = "local-console"

// startLogin starts the issuer of the console's users.
func (c *Cloud) startLogin(l net.Listener) {
	c.serve("login", l, login.New(login.Config{
		URL: c.LoginURL, Console: c.ConsoleURL, ClientID: consoleClient, Signer: c.tokens, Now: time.Now,
		Users: func() []login.User { return login.Prepared(c.companies()) },
	}))
}

// companies are those that people can sign in for.
func (c *Cloud) companies() []login.Company {
	var list []login.Company
	if c.Sim == nil {
		for _, id := range c.options.Corps {
			list = append(list, login.Company{ID: id, Name: id})
		}
		return list
	}
	for _, corp := range c.Sim.Corps() {
		d := corp.Details()
		company := login.Company{ID: corp.ID(), Name: d.Name}
		if len(d.Staff) > 0 {
			company.Member, company.MemberName = d.Staff[0].UserID, d.Staff[0].Name
		}
		list = append(list, company)
	}
	return list
}

// startGateway starts API Gateway and makes c.API.
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
		Account: c.Stack.Account, Routes: routes, CORS: gateway.CORS(c.Stack.API.CORS), Tokens: c.tokens,
		Now: time.Now, NewID: lambda.NewID, Log: c.options.Log,
	}))
	c.API = &people.API{
		Base: c.GatewayURL, Client: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute},
		Token: func(corp, role string) (string, error) {
			// A reader needs the claim staff. The other roles are limited neither with it
			// nor without it.
			return c.Token(map[string]any{"sub": "local-" + role, "corp": corp, "role": role, "staff": "*"})
		},
	}
	return nil
}

// tokenLife is longer than a local cloud usually runs.
const tokenLife = 30 * 24 * time.Hour

// Token signs a token with the claims, for example sub, corp, role and staff.
func (c *Cloud) Token(claims map[string]any) (string, error) {
	return c.tokens.Token(tokenLife, claims)
}

// startTriggers lets queues and schedules invoke the functions.
func (c *Cloud) startTriggers(front *queue.Front) error {
	ctx, cancel := context.WithCancel(context.Background())
	var triggers sync.WaitGroup
	c.onStop(func() {
		cancel()
		triggers.Wait()
	})
	client := sqs.NewFromConfig(c.Config)
	for _, f := range c.Stack.Functions {
		function := c.functions[f.ID]
		for _, s := range f.Sources {
			n := slices.IndexFunc(c.Stack.Queues, func(q template.Queue) bool { return q.ARN == s.QueueARN })
			if n < 0 {
				return fmt.Errorf("function %s: queue %s not declared in the template", f.ID, s.QueueARN)
			}
			q := c.Stack.Queues[n]
			source := &queue.Source{
				Client: client, URL: q.URL, ARN: q.ARN, Region: c.Stack.Region,
				BatchSize: s.BatchSize, Concurrency: min(s.Concurrency, c.options.Concurrency), PartialBatches: s.PartialBatches,
				Visibility: q.Visibility / time.Duration(c.options.FailureSpeed), Timeout: f.Timeout,
				Invoke: function.Invoke, Arrivals: front.Arrivals(q.Name), Log: c.options.Log,
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

// Function finds a function by its logical id. It returns nil for an unknown id.
func (c *Cloud) Function(id string) *lambda.Function { return c.functions[id] }

// TempDir is the folder that a function has in the place of Lambda's /tmp.
func (c *Cloud) TempDir(id string) string { return filepath.Join(c.temp, id) }

// Kill kills one instance of a function with all its processes. It prefers a busy
// instance. It returns false if the function has no instance.
func (c *Cloud) Kill(id string) bool {
	f := c.functions[id]
	return f != nil && f.Kill()
}

// SetUp sets the archive up for all companies of the simulated WeCom. With Data,
// each company continues from the seq and the key version of the last run.
func (c *Cloud) SetUp(ctx context.Context) error {
	for _, corp := range c.Sim.Corps() {
		if c.options.Data != "" {
			if err := people.Resume(ctx, c.API, corp); err != nil {
				return fmt.Errorf("resume %s: %w", corp.ID(), err)
			}
		}
		if err := people.SetUp(ctx, c.API, corp); err != nil {
			return fmt.Errorf("set up %s: %w", corp.ID(), err)
		}
	}
	return nil
}
