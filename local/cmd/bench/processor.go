package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// process is what proc(5) says of a process.
type process struct {
	pid, parent string
	name        string
	own         time.Duration // processor time of its threads
	waited      time.Duration // that of its children that ended
}

// processes lists the processes of this machine.
func processes() (list []process, err error) {
	const tick = time.Second / 100 // USER_HZ is 100 on every Linux that Go runs on
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		head, rest, _ := strings.Cut(string(stat), ") ")
		pid, name, _ := strings.Cut(head, " (")
		words := strings.Fields(rest)
		var times [4]time.Duration // utime stime cutime cstime, the fields 14 to 17
		for i := range times {
			n, err := strconv.Atoi(words[14-3+i]) // proc(5) counts from 1, and two fields are cut off
			if err != nil {
				return nil, err
			}
			times[i] = time.Duration(n) * tick
		}
		list = append(list, process{pid: pid, parent: words[1], name: name, own: times[0] + times[1], waited: times[2] + times[3]})
	}
	return list, nil
}

// decodingTime is the processor time so far of this process and of the workers that
// it started, those that ended included.
func decodingTime() (sum time.Duration, err error) {
	list, err := processes()
	self := strconv.Itoa(os.Getpid())
	for _, p := range list {
		switch {
		case p.pid == self:
			sum += p.own + p.waited
		case p.parent == self && p.name == "worker": // DynamoDB Local and moto are not ours
			sum += p.own
		}
	}
	return sum, err
}

// familyTime is the processor time so far of this process and of all that it started,
// directly or not, by the name of the program.
func familyTime() (sum map[string]time.Duration, err error) {
	list, err := processes()
	children := make(map[string][]process)
	family := []process{}
	for _, p := range list {
		children[p.parent] = append(children[p.parent], p)
		if p.pid == strconv.Itoa(os.Getpid()) {
			family = append(family, p)
		}
	}
	sum = make(map[string]time.Duration)
	for len(family) > 0 {
		p := family[0]
		family = append(family[1:], children[p.pid]...)
		sum[p.name] += p.own + p.waited
	}
	return sum, err
}

// meanRunnable is the mean number of threads of this machine that run or could, until
// ctx ends.
func meanRunnable(ctx context.Context) float64 {
	var sum, n float64
	for ; archive.Sleep(ctx, 50*time.Millisecond) == nil; n++ {
		text, err := os.ReadFile("/proc/loadavg") // proc(5): the fourth field is runnable/all
		if err != nil {
			continue
		}
		runnable, _, _ := strings.Cut(strings.Fields(string(text))[3], "/")
		count, _ := strconv.Atoi(runnable)
		sum += float64(count - 1) // without this one
	}
	return sum / max(n, 1)
}

// burnArgument is the first argument of the processes that [burn] starts.
const burnArgument = "burn"

// takeProcessor takes all the processor time that it gets, until its standard input
// ends.
func takeProcessor() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for n := 0; ; n++ { // a loop without work is taken for a mistake
	}
}

// burn starts processes of one thread that take all the processor time that they get.
func burn(threads int) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var stops []func()
	stop = func() {
		for _, s := range stops {
			s()
		}
	}
	for range threads {
		cmd := exec.Command(self, burnArgument)
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			stop()
			return nil, err
		}
		stops = append(stops, func() {
			_ = in.Close()
			_ = cmd.Wait()
		})
	}
	return stop, nil
}
