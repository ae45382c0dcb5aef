//go:build !linux

package main

import "errors"

// errNotLinux is why only the check of a library works elsewhere: vendor code runs
// confined or not at all (law 7).
var errNotLinux = errors.New("the worker loads a library on Linux only")

func closeInherited() error { return errNotLinux }

func confine(uint64, bool) error { return errNotLinux }

func ownFolder() error { return errNotLinux }
