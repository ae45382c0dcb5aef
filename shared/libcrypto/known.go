package libcrypto

// The known answer with which a library is chosen. The key protects nothing.

// knownKey is an RSA-2048 key as PKCS#1 DER, in base64.
const knownKey = "" +
	"MIIEpAIBAAKCAQEAyGPHVudC/Z0MYDGxKzGN2XcnbQXFJpoyE5vMLsxm0J6AA0NEu6yreUtxA7GVKdRXYgpF/FfUngBwBDOj8tgt" +
	"DsPRnNO8UAKX1CJvrpadrXkaQLBp7YxT+BOkj5PI4nnoYOv6cCzMWu8SzdCQzxCTtIMKDJKtrkBPYwPBYGNr19XS1v7Si1G1fDDP" +
	"L0DjsLTvxypHLQ7UX/LApkGHhHrDrq8I4wZN5439XYu5XNcS4hIzTgsAqJa2FXDJ58NJuKqYuNps92UFs2ujNYcp/Rc/Do7wSzCO" +
	"GNrQdtX42AW94YM42UYVSCtGIL8BDBm+2o0q6PsRuAlPU0UpDXxduj7kVwIDAQABAoIBAFO9dqD3VYRcK77LJUlylN+KrpwdrCyc" +
	"hU6ybZok6tZFViOG6eMvnhy7DQhJHpdzV+ztdB+mqIA6mJT464thETs5U5Ag33HkE4Sfu2IPKOdEU1czIaEWYkSqGLuzO2CBJz3R" +
	"fz9/SQq7G3WMsecF+2OU2w80AIZv83ziJd5czcVMpVhfJXb6LeAKXqwSIJUrAxtePgIbmgWk8bAnxAtlVWWONGVxqrMju+yUQnmT" +
	"LtYMJvBbFnUzAuT8pxrYEYp/usOZCSx9iO8tpdSbhyh9U3LayYjGTwHVl55VKqgpDwOMLmoa8Ngh35YmqwRqm0aUmVsqWGtmUreO" +
	"0Uj9pj5JiJkCgYEA48AWrkC6VM0FcdTXLRLdVjviwcKEaOe260wIQ4wzPOP4GCc272yEdxmLU6wrTBMGmc/tXp1mC4J9q5ZRK7O3" +
	"C1CqhjmPCyCvfSUGI9qwOLkQ0LcNOlLIMzTN1C1uMkAiRTtjWiRY7UXexhAxMOTZ6GrSmTbtPYEzbK6zy+IADNsCgYEA4T7kDJD2" +
	"bwyfmBuBkkezDGl09LHk0XoE+EYVvj40W1O3HlC5d25PquLetVUWXySQ0f5YMmKYHT1lcABV/K5MKgo8vNKLFSj/+8Fa+PRJZMxQ" +
	"3lPudbaRpuVadRk7TXuHY49KeFUpEQTrJ/Ojr12xPcPiRl3hnlyClvQ4+wX8ITUCgYEAhT2Kx1T87cGoLslLPYZs0Rdl+N9Y4Zq2" +
	"LAAmUYZDL5tbOJ4wiG/fK2JZXZE7H11+HhxEDXdeDNvBs9HUGRIhw0/lA3PHGMZ9hGRVrEIzmGvEx6Zf6cAmebapuDj/4AwfQIuW" +
	"+1SKZf3bb9pnPOiWB1//Zz14G+RrdmjarSvBxcMCgYEAym5uH8kMYQM0T0yxJ1ke1lHUlbFnFsgVvVenZOGcxlM3aJxeArL2EHty" +
	"cf91aq5/JOr0MtwfH3A1QPJcVQoEU2f97ClAbBT78jN04fcSGu/w4c8GqW4Z+qd3o3O4s0sIg3adFAZdMPl9qdsySYHnr73jFyB6" +
	"i4tSpf35U8iuLt0CgYAfq3ffYI61L0Y0SKs3G6zQEQfTDjkOlw6G2DlaNC5Zz1+WvwHhLPJtxjcFse4D50hapi+aqrISztixRqLr" +
	"eaZxQxtMKHg+hmuhzH/cJaze1cf9ghaoX1CaMuBtiM6/MYn+ISqcf2SbuxhF/gGNKiRJr/lK5onS6t8DD70x/piabw=="

// knownSealed is knownText, encrypted to knownKey.
const knownSealed = "" +
	"XPZy514cBRln28DGhRbzSVdXcQDTfbuRZtohNCtQOxzfUZNu76h4hRNhle0jWewwXxRPDIrH0OCilt8Hmd7ovoXHfadMtq57qpnA" +
	"L+0laO8hCQvhMvHK+B4YcCc1igus7stFE64cv8bjQfVtSZtxD9b7Bik3E8pePFuAzR1s6KLoqGULzBhLDPmamvNXJkJc9l89PT2q" +
	"pmxs+khP2F9q7mf38k4VTC5s9SMzdJDyfIzm8zeoY0D2LUhuXQJV9zULOOT7ChUvPviiujL8Mg8tf1f6z+gH7IcoxiUDKpIbQVdv" +
	"XpXZRCDsIqGkKCrqa4KxRR4ch3B2Nig46tRiZZrQFQ=="

const knownText = "known answer"
