package lambda

import (
	"bytes"
	"maps"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// signalFamily sends sig to the process group led by pid and to every process
// that descends from it, whatever group it moved to. It goes on until it finds
// none that it has not signalled: one may start another meanwhile.
//
// pid must not have been waited for, or else it may name a stranger. The
// processes that were found are returned.
func signalFamily(pid int, sig syscall.Signal) []int {
	// The whole group at once: nothing in it can start a process in between.
	// Errors mean that it is gone.
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

// killFamily kills the process and all that descends from it. All are stopped
// first: then nothing is started meanwhile, none ends by itself and lets its
// id go, and each is known before the death of a parent hides whose it was.
func killFamily(pid int) {
	for _, member := range signalFamily(pid, syscall.SIGSTOP) {
		_ = syscall.Kill(member, syscall.SIGKILL)
	}
	signalFamily(pid, syscall.SIGKILL)
}

// family lists the processes of the group led by root, and the descendants of
// root and of these, that have not ended.
func family(root int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{} // by parent
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

// lineage reads the parent and the group of a process; false if it has ended.
func lineage(pid int) (parent, group int, ok bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	// The second field is the program's name in parentheses, which may itself
	// hold spaces and parentheses (proc_pid_stat(5)).
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 3 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return 0, 0, false
	}
	parent, _ = strconv.Atoi(string(fields[1]))
	group, _ = strconv.Atoi(string(fields[2]))
	return parent, group, true
}
