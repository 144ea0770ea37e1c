// Says whether `ws` masks and unmasks by bufferutil's native code here, or else in JavaScript.
import bufferutil from "bufferutil";

const isNative = [bufferutil.mask, bufferutil.unmask].every((one) =>
  Function.prototype.toString.call(one).includes("[native code]"),
);
console.log(isNative && !process.env.WS_NO_BUFFER_UTIL ? "native" : "in JavaScript");
