package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/wecom"
)

// config is what the flags say.
type config struct {
	root, data              string
	apiPort, controlPort    int
	wecomPort, queuePort    int
	library, worker         string
	wecom, wecomAPI         string
	corps                   string
	noChat                  bool
	rate                    float64
	once                    int
	tick, idleAfter, notify time.Duration
	failureSpeed            int
	verbose                 bool
}

const about = `Runs the whole archive on this machine: DynamoDB Local, moto, the functions in
build/, API Gateway, queues, schedules, and a simulated WeCom whose companies
set the archive up and chat. Ctrl-C stops all of it.

Each flag can be given by the environment too: -api-port as LOCAL_API_PORT.

`

// parseConfig reads flags, and the environment for flags that are not given.
func parseConfig(args []string, getenv func(string) string, help io.Writer) (config, error) {
	var c config
	f := flag.NewFlagSet("cloud", flag.ContinueOnError)
	f.SetOutput(help)
	f.Usage = func() {
		fmt.Fprint(help, about)
		f.PrintDefaults()
	}
	f.StringVar(&c.root, "root", ".", "`folder` of the repository, with template.yaml and build/")
	f.StringVar(&c.data, "data", "", "`folder` in which tables, journal and secrets are kept from run to run; without it all is removed at the end")
	f.IntVar(&c.apiPort, "api-port", 8080, "port of the API; 0 takes a free one, as for all ports")
	f.IntVar(&c.controlPort, "control-port", 8081, "port of the commands to the local cloud and of WeCom's console")
	f.IntVar(&c.wecomPort, "wecom-port", 8082, "port of the simulated WeCom's own API")
	f.IntVar(&c.queuePort, "queue-port", 0, "port of SQS")
	f.StringVar(&c.library, "sdk-library", "", "`path` of another libWeWorkFinanceSdk_C.so than the stand-in, which is built at the start")
	f.StringVar(&c.worker, "sdk-worker", "", "`path` of another worker than build/FinanceSdkLayer/finance-sdk/worker")
	f.StringVar(&c.wecom, "wecom", "", "`URL` of another WeCom, used as a proxy by the vendor library and by inspect; then none is simulated")
	f.StringVar(&c.wecomAPI, "wecom-api", "", "`URL` by which inspect asks the WeCom behind -wecom, with the archive secret; https://qyapi.weixin.qq.com if empty. A proxy reads along where it is http")
	f.StringVar(&c.corps, "corps", "", "corpids separated by commas, to print tokens for; with -wecom")
	f.BoolVar(&c.noChat, "no-chat", false, "companies set the archive up, but nobody chats")
	f.Float64Var(&c.rate, "rate", 1, "messages a second of each company")
	f.IntVar(&c.once, "once", 0, "send that `many` messages in each company, read all of them back, print the result and end")
	f.DurationVar(&c.tick, "tick", 0, "period of the schedules; 0 as deployed, which is every minute")
	f.DurationVar(&c.notify, "notify", 0, "least time between two callbacks of WeCom; 0 as the real one, which is 15s")
	f.DurationVar(&c.idleAfter, "idle-after", time.Minute, "how long an idle instance of a function lives")
	f.IntVar(&c.failureSpeed, "failure-speed", 1, "divides the time until failed messages of a queue come again")
	f.BoolVar(&c.verbose, "v", false, "print more of what happens")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	given := map[string]bool{}
	f.Visit(func(fl *flag.Flag) { given[fl.Name] = true })
	var errs []error
	f.VisitAll(func(fl *flag.Flag) {
		name := "LOCAL_" + strings.ToUpper(strings.ReplaceAll(fl.Name, "-", "_"))
		if v := getenv(name); v != "" && !given[fl.Name] {
			if err := fl.Value.Set(v); err != nil {
				_ = fl.Value.Set(fl.DefValue) // which is a value: one mistake, one word about it
				errs = append(errs, fmt.Errorf("%s is %q: %w", name, v, err))
			}
		}
	})
	wrong := func(bad bool, text string) {
		if bad {
			errs = append(errs, errors.New(text))
		}
	}
	wrong(f.NArg() > 0, fmt.Sprintf("unknown argument %q; -h lists the flags", f.Arg(0)))
	for name, port := range c.ports() {
		wrong(port < 0 || port > 65535, name+" is no port")
	}
	wrong(c.rate <= 0, "-rate must be above 0; -no-chat is silence")
	wrong(c.once < 0, "-once cannot be negative")
	wrong(c.failureSpeed < 1, "-failure-speed must be at least 1")
	wrong(c.tick < 0 || c.notify < 0 || c.idleAfter <= 0, "a duration is negative")
	wrong(c.once > 0 && c.wecom != "", "-once needs the simulated WeCom")
	wrong(c.once > 0 && c.data != "", "-once begins with nothing: it cannot have -data")
	wrong(c.wecom != "" && !isURL(c.wecom, "http", "socks5"), "-wecom is no URL such as http://127.0.0.1:9000 or socks5://127.0.0.1:9000")
	wrong(c.wecomAPI != "" && !isURL(c.wecomAPI, "https", "http"), "-wecom-api is no URL such as https://qyapi.weixin.qq.com")
	wrong(c.wecomAPI != "" && c.wecom == "", "-wecom-api is for -wecom")
	wrong(c.corps != "" && c.wecom == "", "-corps is for -wecom; the simulated companies get tokens anyway")
	return c, errors.Join(errs...)
}

// ports are those that flags choose.
func (c config) ports() map[string]int {
	return map[string]int{"-api-port": c.apiPort, "-control-port": c.controlPort, "-wecom-port": c.wecomPort, "-queue-port": c.queuePort}
}

// portFlag names the flag of an address.
func (c config) portFlag(addr net.Addr) string {
	for name, port := range c.ports() {
		if addr.String() == address(port) {
			return name
		}
	}
	return "the flag for it (-h lists them)"
}

// isURL reports whether s is one of these schemes and a host.
func isURL(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && strings.Trim(u.Path, "/") == "" && slices.Contains(schemes, u.Scheme)
}

func (c config) options(log *slog.Logger) cloud.Options {
	o := cloud.Options{
		Root: c.root, Data: c.data,
		GatewayAddr: address(c.apiPort), ControlAddr: address(c.controlPort), WeComAddr: address(c.wecomPort), QueueAddr: address(c.queuePort),
		Library: c.library, Worker: c.worker, WeCom: c.wecom,
		Tick: c.tick, FailureSpeed: c.failureSpeed, IdleAfter: c.idleAfter,
		Sim: wecom.Config{NotifyEvery: c.notify, Logger: log, Seed: 1},
		Log: log,
	}
	if c.wecomAPI != "" {
		o.Env = map[string]string{"WECOM_API": c.wecomAPI}
	}
	if c.verbose {
		o.ServiceLog = func(line string) { log.Info("service says", "line", line) }
	}
	return o
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
