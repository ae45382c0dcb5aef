package callback

// Held is the number of corps whose pairs are in memory.
func (p *Pairs) Held() int { return len(p.boxes) }
