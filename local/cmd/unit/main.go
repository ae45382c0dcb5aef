// Command unit tests what needs no server, with Go alone, and says in its last
// line what it left out:
//
//	unit                    everything
//	unit ./shared/message   one package, and those below it
//
// A named package that needs servers is tested with them if this machine is set
// up for them. `make unit` runs this command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/yunduo-scrm/archive/local/needs"
)

const module = "github.com/yunduo-scrm/archive"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		if _, failed := errors.AsType[*exec.ExitError](err); !failed { // go test has printed the reason
			fmt.Fprintln(os.Stderr, "unit:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	patterns := []string{"./..."}
	servers := false
	if len(args) > 0 {
		var err error
		if patterns, err = parse(".", args); err != nil {
			return err
		}
		if servers, err = needServers(ctx, patterns, stderr); err != nil {
			return err
		}
		// A contributor who names a package wants all of its tests.
		servers = servers && exec.CommandContext(ctx, "local/setup/setup.sh", "-n", "servers").Run() == nil
	}

	command := append([]string{"go", "test", "-json"}, patterns...)
	if servers {
		fmt.Fprintln(stdout, "starting DynamoDB Local and moto ...")
		command = append([]string{"go", "run", "./local/aws/cmd/withaws", "--"}, command...)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	// withaws stops the services before it ends.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, needs.Unit+"=") })
	if !servers {
		cmd.Env = append(cmd.Env, needs.Unit+"=1")
	}
	cmd.Stderr = stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	left, err := report(events, stdout)
	fmt.Fprint(stdout, left)
	return errors.Join(err, cmd.Wait())
}

// parse makes patterns of go test of the packages that a person named.
func parse(root string, args []string) ([]string, error) {
	var patterns []string
	for _, arg := range args {
		dir := strings.TrimSuffix(strings.TrimSuffix(filepath.ToSlash(arg), "/..."), "...")
		if rest, ok := strings.CutPrefix(dir, module); ok {
			dir = "." + rest
		}
		dir = path.Clean(dir)
		if !filepath.IsLocal(dir) {
			return nil, fmt.Errorf("PKG is %q: want a folder of this repository, such as ./shared/message", arg)
		}
		info, err := os.Stat(filepath.Join(root, dir))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			return nil, fmt.Errorf("PKG is %q: no such folder in this repository; want one such as ./shared/message", arg)
		}
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, "./"+path.Join(dir, "..."))
	}
	return patterns, nil
}

// needServers reports whether a test of the packages may need more than Go.
func needServers(ctx context.Context, patterns []string, stderr io.Writer) (bool, error) {
	list := exec.CommandContext(ctx, "go", append([]string{"list", "-deps", "-test", "-f", "{{.ImportPath}}"}, patterns...)...)
	list.Stderr = stderr
	out, err := list.Output()
	if err != nil {
		return false, err
	}
	packages := strings.Fields(string(out))
	if len(packages) == 0 {
		return false, fmt.Errorf("PKG names no Go package: %s", strings.Join(patterns, " "))
	}
	return slices.Contains(packages, module+"/local/needs"), nil
}
