module github.com/yunduo-scrm/archive

go 1.26
