/*
 * The C interface of WeCom's finance library, as the vendor's documents 91774
 * and 91552 describe it: 17 functions on three types. This text is the
 * project's own.
 */
#ifndef YUNDUO_STANDIN_WEWORKFINANCESDK_C_H
#define YUNDUO_STANDIN_WEWORKFINANCESDK_C_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct WeWorkFinanceSdk_t WeWorkFinanceSdk_t;

typedef struct Slice_t {
	char *buf;
	int len;
} Slice_t;

typedef struct MediaData {
	char *outindexbuf;
	int out_len;
	char *data;
	int data_len;
	int is_finish;
} MediaData_t;

/* A handle; NULL on failure. One thread at a time may use it. */
WeWorkFinanceSdk_t *NewSdk(void);

/* All int functions without another meaning return 0 or a code from 10000. */
int Init(WeWorkFinanceSdk_t *sdk, const char *corpid, const char *secret);

/* Records strictly after seq. timeout is in seconds. */
int GetChatData(WeWorkFinanceSdk_t *sdk, unsigned long long seq, unsigned int limit,
		const char *proxy, const char *passwd, int timeout, Slice_t *chatDatas);

/* No handle, but some Init must have succeeded in this process. */
int DecryptData(const char *encrypt_key, const char *encrypt_msg, Slice_t *msg);

/* indexbuf comes before sdkFileid. */
int GetMediaData(WeWorkFinanceSdk_t *sdk, const char *indexbuf, const char *sdkFileid,
		 const char *proxy, const char *passwd, int timeout, MediaData_t *media_data);

void DestroySdk(WeWorkFinanceSdk_t *sdk);

Slice_t *NewSlice(void);
void FreeSlice(Slice_t *slice);
char *GetContentFromSlice(Slice_t *slice);
int GetSliceLen(Slice_t *slice);

MediaData_t *NewMediaData(void);
void FreeMediaData(MediaData_t *media_data);
char *GetOutIndexBuf(MediaData_t *media_data);
char *GetData(MediaData_t *media_data);
int GetIndexLen(MediaData_t *media_data);
int GetDataLen(MediaData_t *media_data);
int IsMediaDataFinish(MediaData_t *media_data);

#ifdef __cplusplus
}
#endif

#endif
