package libcrypto

import "sync/atomic"

// Counting copies a library and counts the keys that the copy frees.
func Counting(l *Library) (counted *Library, freed func() int64) {
	copied, n := *l, new(atomic.Int64)
	free := l.c.freeKey
	copied.c.freeKey = func(key uintptr) {
		n.Add(1)
		free(key)
	}
	return &copied, n.Load
}

// BreakDecrypt makes every operation fail.
func BreakDecrypt(l *Library) {
	l.c.decrypt = func(uintptr, *byte, *uint64, *byte, uint64) int32 { return 0 }
}

// BreakContexts makes no context.
func BreakContexts(l *Library) {
	l.c.newContext = func(uintptr, uintptr) uintptr { return 0 }
}
