package lambda

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// signalFamily sends sig to the process group led by pid and to every process
// that descends from pid, in any group. It searches again until a search finds
// no new process: a process may start another process during the search. It
// returns the processes that it found.
//
// The caller must not have waited for pid yet. After the wait, the id may
// belong to an unrelated process.
func signalFamily(pid int, sig syscall.Signal) []int {
	// One call signals the whole group, so no process of the group can start
	// another process in between. An error means that the group has ended.
	_ = syscall.Kill(-pid, sig)
	signalled := map[int]bool{}
	for found := true; found; {
		found = false
		for _, member := range family(pid) {
			if !signalled[member] {
				signalled[member] = true
				found = true
				_ = syscall.Kill(member, sig)
			}
		}
	}
	return slices.Collect(maps.Keys(signalled))
}

// killFamily kills the process and all its descendants. It stops all of them
// first, for three reasons: a stopped process starts no other process, a stopped
// process does not end and release its id, and the descendants are found while
// their parents still show whose children they are.
func killFamily(pid int) {
	for _, member := range signalFamily(pid, syscall.SIGSTOP) {
		_ = syscall.Kill(member, syscall.SIGKILL)
	}
	signalFamily(pid, syscall.SIGKILL)
}

// stopFamily stops the process group led by pid and every process that descends from
// pid, and returns them. It looks at these processes only, because every event ends
// with it: a look at all processes of the machine took more processor time than most
// events.
func stopFamily(pid int) []int {
	_ = syscall.Kill(-pid, syscall.SIGSTOP)
	stopped := []int{pid}
	for found := true; found; {
		found = false
		for _, member := range descendants(pid) {
			if !slices.Contains(stopped, member) {
				stopped, found = append(stopped, member), true
				_ = syscall.Kill(member, syscall.SIGSTOP)
			}
		}
	}
	return stopped
}

// continueFamily lets a group go on, and what stopFamily returned. These processes
// have started no other meanwhile.
func continueFamily(pid int, stopped []int) {
	_ = syscall.Kill(-pid, syscall.SIGCONT)
	for _, member := range stopped {
		_ = syscall.Kill(member, syscall.SIGCONT)
	}
}

// descendants lists the processes that descend from root, without root. A kernel
// without lists of children (CONFIG_PROC_CHILDREN) needs a look at all processes.
func descendants(root int) []int {
	var all []int
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		lists, _ := filepath.Glob("/proc/" + strconv.Itoa(queue[0]) + "/task/*/children") // the pattern is valid
		if len(lists) == 0 && queue[0] == root {
			return family(root)
		}
		for _, list := range lists {
			text, err := os.ReadFile(list)
			if err != nil {
				continue // the thread has ended
			}
			for _, word := range strings.Fields(string(text)) {
				if child, err := strconv.Atoi(word); err == nil {
					all, queue = append(all, child), append(queue, child)
				}
			}
		}
	}
	return all
}

// family lists the live processes of the group led by root, and the live
// descendants of root and of the group.
func family(root int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{} // process ids by parent
	in := map[int]bool{root: true}
	queue := []int{root}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		parent, group, ok := lineage(pid)
		if !ok {
			continue
		}
		children[parent] = append(children[parent], pid)
		if group == root && !in[pid] {
			in[pid] = true
			queue = append(queue, pid)
		}
	}
	for n := 0; n < len(queue); n++ {
		for _, pid := range children[queue[n]] {
			if !in[pid] {
				in[pid] = true
				queue = append(queue, pid)
			}
		}
	}
	return queue
}

// lineage reads the parent and the group of a process. ok is false if the
// process has ended.
func lineage(pid int) (parent, group int, ok bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	// The second field is the program's name in parentheses. The name may
	// contain spaces and parentheses (proc_pid_stat(5)).
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 3 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return 0, 0, false
	}
	parent, _ = strconv.Atoi(string(fields[1]))
	group, _ = strconv.Atoi(string(fields[2]))
	return parent, group, true
}
