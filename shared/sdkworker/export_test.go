package sdkworker

// PID is the id of the process behind an idle session, or 0 without a process.
func (s *Session) PID() int {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if slot := s.pool.slots[s.key]; slot != nil && slot.proc != nil {
		return slot.proc.cmd.Process.Pid
	}
	return 0
}

// Processes is the number of slots in use.
func (p *Pool) Processes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.slots)
}
