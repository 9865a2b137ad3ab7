const oxcart = require('./dist/index.js');

module.exports = {};
