package store

// stop ends the process, with a trace, as the runtime does when it finds its own
// memory damaged: what is stored may be somebody else's from here on. A panic on
// this goroutine would not do: net/http recovers it, and locks would stay taken.
func stop(why string) {
	go panic(why)
	select {}
}
