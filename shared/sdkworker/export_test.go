package sdkworker

// PID is that of the process behind an idle session, 0 if there is none.
func (s *Session) PID() int {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if slot := s.pool.slots[s.key]; slot != nil && slot.proc != nil {
		return slot.proc.cmd.Process.Pid
	}
	return 0
}

// Processes is how many places for processes are taken.
func (p *Pool) Processes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.slots)
}
