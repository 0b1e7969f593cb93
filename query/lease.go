package query

// lease is the use of something that a database holds and that is dropped, once doomed, by its last user.
type lease struct {
	drop func() error

	users  int  // guarded by database.mu
	doomed bool // likewise
}

// hold keeps what a lease is of until released; false if it is doomed.
func (d *database) hold(l *lease) (release func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l.doomed {
		return nil, false
	}
	l.users++
	return func() {
		d.mu.Lock()
		l.users--
		last := l.doomed && l.users == 0
		d.mu.Unlock()
		if last {
			_ = l.drop() // in memory; the database's end frees it at the latest
		}
	}, true
}

// doom drops what a lease is of now, or when its last user is done.
func (d *database) doom(l *lease) {
	d.mu.Lock()
	again := l.doomed
	l.doomed = true
	free := l.users == 0
	d.mu.Unlock()
	if free && !again {
		_ = l.drop()
	}
}
