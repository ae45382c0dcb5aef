package problem

// Sentences lists every text of a problem, by name, in both languages.
func Sentences() map[string][2]string {
	all := make(map[string][2]string)
	add := func(name string, w words) { all[name] = [2]string{w.zh, w.en} }
	for k, v := range kinds {
		add("kind "+string(k)+" title", v.title)
		add("kind "+string(k)+" detail", v.detail)
	}
	for k, v := range details {
		add("detail "+string(k), v)
	}
	for k, v := range remedies {
		add("remedy "+string(k), v)
	}
	return all
}
