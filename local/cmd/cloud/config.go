package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/flags"
	"github.com/yunduo-scrm/archive/local/wecom"
)

// config is what the flags say.
type config struct {
	root, data              string
	apiPort, controlPort    int
	wecomPort, queuePort    int
	loginPort               int
	library, worker         string
	wecom, wecomAPI         string
	corps                   string
	noChat                  bool
	rate                    float64
	once                    int
	tick, idleAfter, notify time.Duration
	failureSpeed            int
	verbose, check          bool
}

// mostRate is more than one machine archives.
const mostRate = 10_000

const about = `Runs the whole archive on this machine: DynamoDB Local, moto, the functions in
build/, API Gateway, queues, schedules, and a simulated WeCom whose companies
set the archive up and chat. Ctrl-C stops all of it.

Each flag can be given by the environment too: -api-port as LOCAL_API_PORT.

`

// parseConfig reads flags, and the environment for flags that are not given. The
// environment is a list of name=value.
func parseConfig(args, environ []string, help io.Writer) (config, error) {
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
	f.IntVar(&c.loginPort, "login-port", 8083, "port of the issuer at which people sign in to the console")
	f.IntVar(&c.queuePort, "queue-port", 0, "port of SQS")
	f.StringVar(&c.library, "sdk-library", "", "`path` of another libWeWorkFinanceSdk_C.so than the stand-in, which is built at the start")
	f.StringVar(&c.worker, "sdk-worker", "", "`path` of another worker than build/FinanceSdkLayer/finance-sdk/worker")
	f.StringVar(&c.wecom, "wecom", "", "`URL` of another WeCom, used as a proxy by the vendor library and by inspect; then none is simulated")
	f.StringVar(&c.wecomAPI, "wecom-api", "", "`URL` by which inspect asks the WeCom behind -wecom, with the archive secret; https://qyapi.weixin.qq.com if empty. A proxy can read these calls only if the URL is http")
	f.StringVar(&c.corps, "corps", "", "corpids separated by commas: for each, a user who can sign in, and tokens on the screen; with -wecom")
	f.BoolVar(&c.noChat, "no-chat", false, "companies set the archive up and send no messages")
	f.Float64Var(&c.rate, "rate", 1, fmt.Sprintf("messages a second of each company, at most %d", mostRate))
	f.IntVar(&c.once, "once", 0, "send that `many` messages in each company, read all of them back, print the result and end")
	f.DurationVar(&c.tick, "tick", 0, "period of the schedules; 0 as deployed, which is every minute")
	f.DurationVar(&c.notify, "notify", 0, "least time between two callbacks of WeCom; 0 as the real one, which is 15s")
	f.DurationVar(&c.idleAfter, "idle-after", time.Minute, "how long an idle instance of a function lives")
	f.IntVar(&c.failureSpeed, "failure-speed", 1, "divides the time after which a queue delivers a failed request again")
	f.BoolVar(&c.verbose, "v", false, "print more of what happens")
	f.BoolVar(&c.check, "check", false, "only check the flags, and start nothing")
	if err := flags.Parse(f, args); err != nil {
		return c, err
	}
	given := map[string]bool{}
	f.Visit(func(fl *flag.Flag) { given[fl.Name] = true })
	var errs []error
	local := map[string]string{} // values of our variables; an empty one counts as absent
	for _, v := range environ {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, prefix) && value != "" {
			local[name] = value
		}
	}
	known := map[string]bool{}
	f.VisitAll(func(fl *flag.Flag) {
		name := variable(fl.Name)
		known[name] = true
		if v := local[name]; v != "" && !given[fl.Name] {
			if err := fl.Value.Set(v); err != nil {
				_ = fl.Value.Set(fl.DefValue) // a valid value, so that one mistake gives one error
				errs = append(errs, fmt.Errorf("%s is %q: want %s", name, v, flags.Kind(fl)))
			}
		}
	})
	// name is how the value of a flag was given.
	name := func(flagName string) string {
		if !given[flagName] && local[variable(flagName)] != "" {
			return variable(flagName)
		}
		return "-" + flagName
	}
	wrong := func(bad bool, flagName, text string, args ...any) {
		if bad {
			errs = append(errs, errors.New(name(flagName)+fmt.Sprintf(text, args...)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(local)) {
		if !known[name] {
			errs = append(errs, fmt.Errorf("%s is set, and no flag has this variable; -h lists the flags", name))
		}
	}
	errs = append(errs, flags.NoArguments(f))
	ports := c.ports()
	for i, p := range ports {
		wrong(p.number < 0 || p.number > 65535, p.flag, " is %d: want a port from 0 to 65535", p.number)
		for _, other := range ports[:i] {
			wrong(p.number != 0 && p.number == other.number, p.flag, " is %d, and so is %s: want another port, or 0 for a free one", p.number, name(other.flag))
		}
	}
	wrong(c.tick < 0, "tick", " is %v: want a duration of 0 or more", c.tick)
	wrong(c.notify < 0, "notify", " is %v: want a duration of 0 or more", c.notify)
	wrong(c.library != "" && !isFile(c.library), "sdk-library", " is %q: want the path of a file", c.library)
	wrong(c.worker != "" && !isFile(c.worker), "sdk-worker", " is %q: want the path of a file", c.worker)
	wrong(c.data != "" && isFile(c.data), "data", " is %q, a file: want a folder, which is made if missing", c.data)
	wrong(!isFile(filepath.Join(c.root, "template.yaml")), "root", " is %q: want the folder of the repository, which has template.yaml", c.root)
	wrong(c.idleAfter <= 0, "idle-after", " is %v: want a duration above 0", c.idleAfter)
	wrong(!(c.rate > 0 && c.rate <= mostRate), "rate", " is %v: want a number above 0, at most %d; -no-chat stops all messages", c.rate, mostRate)
	wrong(c.noChat && (given["rate"] || local[variable("rate")] != ""), "rate", " is how often people send messages, and %s stops all messages", name("no-chat"))
	wrong(c.noChat && c.once > 0, "once", " sends messages, and %s stops all messages", name("no-chat"))
	wrong(c.once < 0, "once", " is %d: want a number of messages, 0 or more", c.once)
	wrong(c.failureSpeed < 1, "failure-speed", " is %d: want a whole number of 1 or more", c.failureSpeed)
	wrong(c.once > 0 && c.wecom != "", "once", " needs the simulated WeCom, and %s names another", name("wecom"))
	wrong(c.once > 0 && c.data != "", "once", " begins with nothing, and %s keeps what there was", name("data"))
	wrong(c.wecom != "" && !isURL(c.wecom, "http", "socks5"), "wecom", " is %q: want a URL such as http://127.0.0.1:9000 or socks5://127.0.0.1:9000", c.wecom)
	wrong(c.wecomAPI != "" && !isURL(c.wecomAPI, "https", "http"), "wecom-api", " is %q: want a URL such as https://qyapi.weixin.qq.com", c.wecomAPI)
	wrong(c.wecomAPI != "" && c.wecom == "", "wecom-api", " needs -wecom, which is missing")
	wrong(c.corps != "" && c.wecom == "", "corps", " needs -wecom, which is missing; the simulated companies get tokens anyway")
	return c, flags.Mistake(errors.Join(errs...))
}

// prefix begins the environment variables of flags.
const prefix = "LOCAL_"

// variable is the environment variable of a flag.
func variable(flagName string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

type port struct {
	flag   string
	number int
}

// ports are those that flags choose.
func (c config) ports() []port {
	return []port{{"api-port", c.apiPort}, {"control-port", c.controlPort}, {"wecom-port", c.wecomPort}, {"login-port", c.loginPort}, {"queue-port", c.queuePort}}
}

// portFlag names the flag of an address.
func (c config) portFlag(addr net.Addr) string {
	for _, p := range c.ports() {
		if addr.String() == address(p.number) {
			return "-" + p.flag
		}
	}
	return "the flag for it (-h lists them)"
}

// isURL reports whether s is one of these schemes and a host.
func isURL(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && strings.Trim(u.Path, "/") == "" && slices.Contains(schemes, u.Scheme)
}

// options are those of the cloud. progress takes what the start does that needs
// minutes the first time.
func (c config) options(log *slog.Logger, progress func(line string)) cloud.Options {
	o := cloud.Options{
		Root: c.root, Data: c.data,
		GatewayAddr: address(c.apiPort), ControlAddr: address(c.controlPort), WeComAddr: address(c.wecomPort), QueueAddr: address(c.queuePort), LoginAddr: address(c.loginPort),
		Library: c.library, Worker: c.worker, WeCom: c.wecom,
		Tick: c.tick, FailureSpeed: c.failureSpeed, IdleAfter: c.idleAfter,
		Sim: wecom.Config{NotifyEvery: c.notify, Logger: log, Seed: 1},
		Log: log,
	}
	if c.corps != "" {
		o.Corps = strings.Split(c.corps, ",")
	}
	if c.wecomAPI != "" {
		o.Env = map[string]string{"WECOM_API": c.wecomAPI}
	}
	o.ServiceLog = func(line string) {
		if aws.IsProgress(line) {
			progress(line)
		} else if c.verbose {
			log.Info("service says", "line", line)
		}
	}
	return o
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
