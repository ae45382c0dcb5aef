package doctor

var Show = show
