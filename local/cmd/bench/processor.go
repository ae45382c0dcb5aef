package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
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
// directly or not.
func familyTime() (sum time.Duration, err error) {
	list, err := processes()
	children := make(map[string][]process)
	family := []process{}
	for _, p := range list {
		children[p.parent] = append(children[p.parent], p)
		if p.pid == strconv.Itoa(os.Getpid()) {
			family = append(family, p)
		}
	}
	for len(family) > 0 {
		p := family[0]
		family = append(family[1:], children[p.pid]...)
		sum += p.own + p.waited
	}
	return sum, err
}
