package main

// refusedCallsHere is empty: this processor has no system calls of its own to
// refuse.
var refusedCallsHere []uint32
