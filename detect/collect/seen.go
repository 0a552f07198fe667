package collect

// seen remembers which sequence numbers of a boot were read: the highest and the 64
// before it, as IPsec's anti-replay window does (RFC 4303, section 3.4.3).
type seen struct {
	boot string
	top  uint64
	bits uint64 // bit i: top-i was read
}

// add says whether the number is new, and how many numbers it leaves open behind
// the highest so far.
func (s *seen) add(seq uint64) (fresh bool, skipped uint64) {
	if seq > s.top {
		step := seq - s.top
		if s.top > 0 {
			skipped = step - 1
		}
		if step < 64 {
			s.bits = s.bits<<step | 1
		} else {
			s.bits = 1
		}
		s.top = seq
		return true, skipped
	}
	if s.has(seq) {
		return false, 0
	}
	s.bits |= 1 << (s.top - seq)
	return true, 0
}

// has says whether the number was read, or is too old to know.
func (s *seen) has(seq uint64) bool {
	if seq > s.top {
		return false
	}
	back := s.top - seq
	return back >= 64 || s.bits&(1<<back) != 0
}
